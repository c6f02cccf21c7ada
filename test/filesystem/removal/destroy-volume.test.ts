// Destroying a file system: only the one that is meant and that nobody uses, wholly, and again after it was cut short.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { formatVolume } from '../../../src/filesystem/format.ts';
import { destroyVolume } from '../../../src/filesystem/removal/destroy-volume.ts';
import { makeTemp } from '../../harness/temp.ts';
import { type CopiedVolume, copyVolume } from '../../harness/volumes.ts';

const uuidOf = (volume: CopiedVolume): string => String(volume.manifest.setting['UUID']);

function sql(volume: CopiedVolume, text: string): void {
  const database = new DatabaseSync(volume.database);
  database.exec(text);
  database.close();
}

test('objects, folders and metadata go; what others keep in the bucket stays', async (t) => {
  const volume = copyVolume(makeTemp(t), 'trash0');
  writeFileSync(join(volume.bucket, 'trash0/chunks/0/0/.jfs.1_0_1.tmp.1'), 'left');
  mkdirSync(join(volume.bucket, 'other'));
  const seen: number[] = [];
  const done = await destroyVolume({
    metaUrl: volume.metaUrl,
    uuid: uuidOf(volume).toUpperCase(),
    onProgress: (count) => seen.push(count),
  });
  assert.deepEqual(done, { name: 'trash0', uuid: uuidOf(volume), objects: 8 });
  assert.equal(seen.at(-1), 8);
  assert.deepEqual(readdirSync(volume.bucket), ['other']);
  assert.ok(!existsSync(volume.database));
});

test('another UUID, clients at work and claims are refused, and nothing is changed', async (t) => {
  const volume = copyVolume(makeTemp(t), 'trash0');
  const objects = readdirSync(volume.bucket, { recursive: true }).length;
  const destroy = (more = {}): Promise<unknown> =>
    destroyVolume({ metaUrl: volume.metaUrl, uuid: uuidOf(volume), ...more });
  await assert.rejects(destroy({ uuid: '6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d11' }), { code: 'bad-input' });
  const soon = Math.floor(Date.now() / 1000) + 1000;
  sql(volume, `INSERT INTO jfs_session2 VALUES (9, ${soon}, x'7b7d')`);
  await assert.rejects(destroy(), { code: 'failed-precondition', message: /1 clients have it mounted/ });
  sql(volume, "DELETE FROM jfs_session2; INSERT INTO pageseal_volume VALUES ('v', 'r', 2, '', 0, 'ready')");
  await assert.rejects(destroy(), { code: 'failed-precondition', message: /1 volumes or snapshots/ });
  renameSync(volume.bucket, `${volume.bucket.slice(0, -1)}-away`);
  await assert.rejects(destroy({ force: true, store: { bucket: '/nowhere/at/all/' } }), { code: 'store-unavailable' });
  renameSync(`${volume.bucket.slice(0, -1)}-away`, volume.bucket);
  assert.equal(readdirSync(volume.bucket, { recursive: true }).length, objects);
  await destroy({ force: true });
  assert.ok(!existsSync(volume.database));
});

test('cut short in the middle of the objects, it goes on', async (t) => {
  const volume = copyVolume(makeTemp(t), 'trash0');
  rmSync(join(volume.bucket, 'trash0/chunks'), { recursive: true });
  await destroyVolume({ metaUrl: volume.metaUrl, uuid: uuidOf(volume) });
  assert.ok(!existsSync(volume.database));
  await assert.rejects(destroyVolume({ metaUrl: volume.metaUrl, uuid: uuidOf(volume) }), {
    code: 'metadata-unavailable',
  });
});

test('another file system in the same database stays', async (t) => {
  const temp = makeTemp(t);
  const volume = copyVolume(temp, 'trash0');
  const store = { storage: 'file', bucket: `${temp.at('second')}/` };
  const metaUrl = `${volume.metaUrl}?table_prefix=second`;
  const { uuid } = await formatVolume({ metaUrl, name: 'second', store, key: { kind: 'none' } });
  await destroyVolume({ metaUrl: volume.metaUrl, uuid: uuidOf(volume) });
  const database = new DatabaseSync(volume.database, { readOnly: true });
  const names = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    .all();
  database.close();
  assert.ok(names.every(({ name }) => String(name).includes('_second_')));
  assert.ok(names.length > 20);
  await destroyVolume({ metaUrl, uuid });
  assert.ok(!existsSync(temp.at('second/second')));
});
