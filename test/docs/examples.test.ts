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

test('a block that names a file is that file', () => {
  const against = blocks
    .filter(({ file }) => file !== '')
    .filter(({ file, text }) => !existsSync(join(root, file)) || readFileSync(join(root, file), 'utf8') !== text);
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
