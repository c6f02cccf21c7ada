// Each symptom of docs/TROUBLESHOOTING.md is a text that our code really says. An ellipsis stands for what varies.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../harness/tools.ts';
import { quotedIn, textOf } from './documents.ts';

/** Pieces between two ellipses that are shorter say nothing: punctuation, a unit. */
const MIN_PIECE = 4;

const symptoms = [...textOf('docs/TROUBLESHOOTING.md').matchAll(/^### (.*)$/gm)].map(([, title = '']) => title);

const source = ['src']
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8').replaceAll("\\'", "'"))
  .join('\n');

test('every symptom is a text of ours', () => {
  assert(symptoms.length > 10, 'the symptoms were not found');
  const unsaid = symptoms.flatMap((title) =>
    quotedIn(title).flatMap((text) =>
      text
        .split('…')
        .map((piece) => piece.trim())
        .filter((piece) => piece.length >= MIN_PIECE && !source.includes(piece))
        .map((piece) => `${title}: ${piece}`),
    ),
  );
  assert.deepEqual(unsaid, []);
});

test('every symptom quotes a text', () => {
  assert.deepEqual(
    symptoms.filter((title) => quotedIn(title).length === 0),
    [],
  );
});
