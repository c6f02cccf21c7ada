// Every passage of docs/SEMANTICS.md names tests that exist, and every test of this folder stands behind a passage.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../harness/tools.ts';

interface Reference {
  readonly passage: string;
  readonly file: string;
  readonly title: string;
}

const tests = join(root, 'test');
const semantics = readFileSync(join(root, 'docs/SEMANTICS.md'), 'utf8');

/** Of "Shown by `file`: "title", "title"; `file`: "title"." */
function referencesOf(passage: string, text: string): Reference[] {
  const shown = text.split(/\n\n+/).filter((paragraph) => paragraph.startsWith('Shown by '));
  return shown.flatMap((paragraph) =>
    [...paragraph.matchAll(/`([^`]+\.test\.ts)`:((?:\s*"[^"]+",?)+)/g)].flatMap(([, file = '', titles = '']) =>
      [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => ({
        passage,
        file,
        title: title.replace(/\s+/g, ' '),
      })),
    ),
  );
}

/** A `###` heading up to the next heading. */
function passagesOf(document: string): Map<string, Reference[]> {
  const parts = document.split(/^(#{1,3}) (.*)$/m);
  const found = new Map<string, Reference[]>();
  for (let i = 1; i + 2 < parts.length; i += 3) {
    const [level, title = '', text = ''] = parts.slice(i, i + 3);
    if (level === '###') found.set(title, referencesOf(title, text));
  }
  return found;
}

/** Titles as written; what a template puts in may be anything. */
function titlesOf(file: string): RegExp[] {
  const text = readFileSync(join(tests, file), 'utf8');
  return [...text.matchAll(/\btest\(\s*(?:`((?:[^`\\]|\\.)*)`|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g)].map(
    ([, template, single, double]) => {
      const parts = (template ?? single ?? double ?? '').replace(/\\(.)/g, '$1').split(/\$\{[^}]*\}/);
      return new RegExp(`^${parts.map((part) => RegExp.escape(part)).join('.+')}$`);
    },
  );
}

const missing = (references: readonly Reference[]): string[] =>
  references
    .filter(
      ({ file, title }) => !existsSync(join(tests, file)) || !titlesOf(file).some((pattern) => pattern.test(title)),
    )
    .map(({ passage, file, title }) => `${passage}: ${file} has no test "${title}"`);

const passages = passagesOf(semantics);
const references = [...passages.values()].flat();

test('every passage is shown by a test', () => {
  const silent = [...passages].filter(([, shown]) => shown.length === 0).map(([title]) => title);
  assert.deepEqual(silent, [], 'a passage ends with: Shown by `file below test/`: "title of a test".');
  assert.ok(passages.size > 0);
});

test('the tests that passages name exist', () => {
  assert.deepEqual(missing(references), []);
});

test('every test here stands behind a passage', () => {
  const here = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.e2e.test.ts'));
  const unnamed = here
    .map((name) => `semantics/${name}`)
    .flatMap((file) =>
      titlesOf(file)
        .filter((pattern) => !references.some((one) => one.file === file && pattern.test(one.title)))
        .map((pattern) => `${file}: ${pattern.source}`),
    );
  assert.deepEqual(unnamed, []);
});

test('a passage without a test and a test that is not there are seen', () => {
  const found = passagesOf(
    '# A\n\n## B\n\n### C\n\ntext\n\n### D\n\nShown by `tidy.test.ts`: "names say something", "x".\n',
  );
  assert.deepEqual(found.get('C'), []);
  assert.equal(found.get('D')?.length, 2);
  assert.deepEqual(missing(found.get('D') ?? []), ['D: tidy.test.ts has no test "x"']);
});
