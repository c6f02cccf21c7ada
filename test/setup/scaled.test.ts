// The list of what runs a second time, on PostgreSQL and S3: every test that could.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../harness/tools.ts';

test('every whole-system test that takes a place of either kind runs on both', async () => {
  const { scaledFiles } = (await import(join(root, 'setup/scaled.mjs'))) as { scaledFiles: readonly string[] };
  assert.deepEqual(
    scaledFiles.filter((file) => !existsSync(join(root, file))),
    [],
  );
  const takesPlace = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.e2e.test.ts'))
    .map((name) => join('test', name))
    .filter((file) => /\b(newPlace|volumeAt)\(/.test(readFileSync(join(root, file), 'utf8')));
  assert.ok(takesPlace.length > 0);
  assert.deepEqual(
    takesPlace.filter((file) => !scaledFiles.includes(file)),
    [],
  );
});
