// Files that appear whole or not at all.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Folders, replaceFile } from '../../src/base/atomic-file.ts';
import { makeTemp } from '../harness/temp.ts';

const temp = makeTemp();

test('replaces a file as a whole and leaves nothing else', async () => {
  const folder = temp.folder('replace');
  writeFileSync(`${folder}/a`, 'old');
  await replaceFile(`${folder}/a`, `${folder}/.t`, [Buffer.from('ne'), Buffer.alloc(0), Buffer.from('w')], {
    mode: 0o600,
  });
  assert.equal(readFileSync(`${folder}/a`, 'utf8'), 'new');
  assert.deepEqual(readdirSync(folder), ['a']);
});

test('a failure at the end leaves the old file and nothing else', async () => {
  const folder = temp.folder('failure');
  mkdirSync(`${folder}/a/inside`, { recursive: true });
  await assert.rejects(replaceFile(`${folder}/a`, `${folder}/.t`, [Buffer.from('x')], { mode: 0o600 }));
  assert.deepEqual(readdirSync(folder), ['a']);
});

test('folders are made once each, whoever asks at the same time, and again when they went', async () => {
  const root = temp.folder('root');
  const folders = new Folders(root);
  await Promise.all(Array.from({ length: 20 }, (_, i) => folders.ensure(`${root}/a/b/${i % 4}`)));
  assert.deepEqual(readdirSync(`${root}/a/b`), ['0', '1', '2', '3']);
  rmSync(`${root}/a`, { recursive: true });
  folders.forget(`${root}/a/b/0`);
  await folders.ensure(`${root}/a/b/0`);
  assert.deepEqual(readdirSync(`${root}/a/b`), ['0']);
});

test('the root is never made', async () => {
  const folders = new Folders(temp.at('none'));
  await assert.rejects(folders.ensure(temp.at('none', 'a')), { code: 'ENOENT' });
});

test('a sync that was asked for while one ran is one that began later', async () => {
  const root = temp.folder('sync');
  const folders = new Folders(root);
  const first = folders.sync(root);
  const second = folders.sync(root);
  const third = folders.sync(root);
  assert.notEqual(first, second);
  assert.equal(second, third, 'those who wait share one');
  await Promise.all([first, second, third]);
  assert.notEqual(folders.sync(root), third);
  await assert.rejects(folders.sync(temp.at('no such')), { code: 'ENOENT' });
});
