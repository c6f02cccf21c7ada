// What the documents show is what is there: YAML with a file's name is that file, and tests that are named exist.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { root } from '../harness/tools.ts';
import { blocksOf, documents, quotedIn, textOf } from './documents.ts';

const blocks = documents.flatMap(blocksOf);
const yaml = blocks.filter(({ language }) => language === 'yaml');

/** The objects, behind the comment that the file begins with. */
const objectsOf = (text: string): string => text.replace(/^(#.*\n)*/, '');

/** The commands in that comment: `# $ COMMAND`, with continued lines. */
function commandsOf(text: string): string {
  const lines = /^(#.*\n)*/.exec(text)?.[0].split('\n') ?? [];
  let continued = false;
  const commands = lines.flatMap((line) => {
    const begins = line.startsWith('# $ ');
    if (!begins && !continued) return [];
    continued = line.endsWith('\\');
    return [line.slice(begins ? '# $ '.length : '# '.length)];
  });
  return `${commands.join('\n')}\n`;
}

test('a block that names a file shows its objects, or some of its commands', () => {
  const named = blocks.filter(({ file }) => file !== '');
  assert(named.length > 4);
  const against = named.filter(({ file, language, text }) => {
    if (!existsSync(join(root, file))) return true;
    const found = readFileSync(join(root, file), 'utf8');
    return language === 'sh' ? !`\n${commandsOf(found)}`.includes(`\n${text}`) : objectsOf(found) !== text;
  });
  assert.deepEqual(
    against.map(({ document, line, file }) => `${document}:${line} differs from ${file}`),
    [],
  );
});

test('YAML in the documents is well formed', () => {
  const against = yaml.flatMap(({ document, line, text }) =>
    parseAllDocuments(text).flatMap(({ errors }) => errors.map(({ message }) => `${document}:${line}: ${message}`)),
  );
  assert.deepEqual(against, []);
});

/** Documents shorten paths from the left where that says enough. */
const files = ['src', 'test', 'setup', 'deploy']
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => `/${folder}/${name}`));

test('every source and test file that a document names exists', () => {
  const missing = documents.flatMap((document) =>
    quotedIn(textOf(document))
      .filter((name) => /^[\w./-]+(\.test\.ts|\/[\w-]+\.ts)$/.test(name))
      .filter((name) => !files.some((file) => file.endsWith(`/${name}`)))
      .map((name) => `${document}: ${name}`),
  );
  assert.deepEqual(missing, []);
});
