// The house rules that a machine can check: who imports whom, lengths, dead files, words that have no place here.
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import { mayImport, roomOf } from './tidy/rooms.ts';
import { cFunctionSpans, functionSpans, isCode, localImports, readText, repositoryFiles } from './tidy/source.ts';

const MOST_LINES = 400;
const MOST_FUNCTION_LINES = 60;
const VAGUE_NAMES = /(^|\/)(utils?|helpers?|common|misc|index)(\.[a-z]+)?(\/|$)/;
/** Started by hand, by npm or by the test runner, so imported by nobody. */
const ENTRIES = [/^src\/main\.ts$/, /\.test\.ts$/, /^setup\//, /^test\/demo\/demo\.ts$/, /^test\/bench\/bench\.ts$/];

const files = repositoryFiles();
const code = files.filter(isCode);
const scripts = code.filter((file) => /\.(ts|tsx|mjs)$/.test(file));
const prose = files.filter((file) => file.endsWith('.md') && !file.startsWith('node_modules/'));

/** One assertion for all findings, so that a run shows every one of them. */
const none = (findings: readonly string[], rule: string): void => assert.deepEqual(findings, [], rule);

test('a room imports only the rooms it may', () => {
  const against: string[] = [];
  for (const file of scripts.filter((name) => name.startsWith('src/'))) {
    const from = roomOf(file);
    if (from === undefined) against.push(`${file} stands in no room`);
    for (const imported of from === undefined ? [] : localImports(file)) {
      const to = imported.startsWith('src/') ? roomOf(imported) : undefined;
      if (to === undefined || !mayImport(from ?? '', to)) against.push(`${file} imports ${imported}`);
    }
  }
  none(against, 'import table: test/tidy/rooms.ts');
});

test('only the client of the keeper is known to others', () => {
  const against = scripts
    .filter((file) => file.startsWith('src/csi/'))
    .flatMap((file) => localImports(file).map((imported) => `${file} imports ${imported}`))
    .filter(
      (line) => / imports src\/keeper\//.test(line) && !/ imports src\/keeper\/(client|messages)[\w-]*\.ts$/.test(line),
    );
  none(against, 'csi/ speaks to the keeper through keeper/client.ts and its messages');
});

test('files and functions stay short', () => {
  const long: string[] = [];
  for (const file of code) {
    const text = readText(file);
    const lines = text.split('\n').length - 1;
    if (lines > MOST_LINES) long.push(`${file} has ${lines} lines`);
    for (const span of /\.[ch]$/.test(file) ? cFunctionSpans(text) : functionSpans(text))
      if (span.length > MOST_FUNCTION_LINES) long.push(`${file}:${span.line} ${span.length} lines: ${span.text}`);
  }
  none(long, `at most ${MOST_LINES} lines in a file, ${MOST_FUNCTION_LINES} in a function`);
});

test('function lengths are seen', () => {
  const body = '  a();\n'.repeat(70);
  assert.equal(functionSpans(`export async function f(): void {\n${body}}\n`)[0]?.length, 72);
  assert.equal(functionSpans(`class A {\n  #b(\n    c: string,\n  ): void {\n  ${body}  }\n}\n`)[0]?.length, 74);
  assert.equal(functionSpans(`const f = (a) => {\n${body}};\n`)[0]?.length, 72);
  assert.deepEqual(functionSpans(`call(\n  a,\n);\nif (b) {\n${body}}\n`), []);
});

test('no file is left unused', () => {
  const texts = new Map(scripts.map((file) => [file, readText(file)]));
  const unused = scripts.filter((file) => {
    if (ENTRIES.some((entry) => entry.test(file))) return false;
    // By import, or by name: programs that a test or the keeper starts, workers whose ending depends on the build.
    const stem = basename(file).replace(/\.[a-z]+$/, '');
    const named = new RegExp(`['"\`/]${stem}(\\.[a-z]+)?['"\`$]`);
    return ![...texts].some(
      ([other, text]) => other !== file && (localImports(other).includes(file) || named.test(text)),
    );
  });
  none(unused, 'nobody imports these files');
});

test('a source file opens with what it is', () => {
  const silent = code.filter((file) => !/^(#!.*\n)?(\/\/|\/\*)/.test(readText(file)));
  none(silent, 'the first line of a file is a comment');
});

test('names say something', () => {
  none(
    files.filter((file) => VAGUE_NAMES.test(file) && !file.startsWith('test/volumes/')),
    'no utils, helpers, common, index',
  );
});

test('nothing names a registry, this machine or a note to self', () => {
  // Put together from pieces, so that this file does not name them either.
  const banned = [
    ['registry', 'npmjs', 'org'].join('\\.'),
    ['pypi', 'org'].join('\\.'),
    ['pythonhosted', 'org'].join('\\.'),
    ['proxy', 'golang', 'org'].join('\\.'),
    `/${'work'}/(main|wt|shared|team)`,
    `\\.\\./${'shared'}/`,
    `\\b${'TO'}${'DO'}\\b`,
    `\\b${'FIX'}${'ME'}\\b`,
    `\\b${'XX'}X\\b`,
  ].map((pattern) => new RegExp(pattern));
  const found: string[] = [];
  for (const file of files.filter((name) => !/^test\/volumes\/[^/]+\//.test(name))) {
    const lines = readText(file).split('\n');
    for (const [index, line] of lines.entries())
      if (banned.some((pattern) => pattern.test(line))) found.push(`${file}:${index + 1}: ${line.trim().slice(0, 80)}`);
  }
  none(found, 'words without a place in the repository');
});

test('a document has one title', () => {
  const against = prose.filter((file) => {
    const outside = readText(file).replace(/^```[\s\S]*?^```/gm, '');
    return (outside.match(/^# /gm)?.length ?? 0) !== 1 || !outside.trimStart().startsWith('# ');
  });
  none(against, 'exactly one title, at the top');
});

test('links between documents lead somewhere', () => {
  const broken: string[] = [];
  for (const file of prose)
    for (const [, target = ''] of readText(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const path = new URL(target, `file:///${file}`).pathname.slice(1).replace(/\/$/, '');
      if (!files.some((name) => name === path || name.startsWith(`${path}/`))) broken.push(`${file} -> ${target}`);
    }
  none(broken, 'a link leads to a file of the repository');
});

test('every dependency is exact and explained', () => {
  const manifest = JSON.parse(readText('package.json')) as Record<string, Record<string, string> | undefined>;
  const all = ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
    Object.entries(manifest[kind] ?? {}),
  );
  none(
    all.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)).map(([name]) => name),
    'versions are exact',
  );
  const architecture = readText('docs/ARCHITECTURE.md');
  none(
    all.filter(([name]) => !name.startsWith('@types/') && !architecture.includes(`\`${name}\``)).map(([name]) => name),
    'docs/ARCHITECTURE.md says why each dependency is there',
  );
});
