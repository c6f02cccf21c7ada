// A wipe under the lock: everything goes but the record and what counts on; only for the UUID that is the record's at that
// moment, once, and to the end.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { inspectEmptiness } from '../../src/filesystem/encryption/emptiness.ts';
import { conversionState } from '../../src/filesystem/encryption/lock.ts';
import { abandon } from '../../src/filesystem/encryption/switch.ts';
import { wipe } from '../../src/filesystem/encryption/wipe.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { createVolume } from '../../src/filesystem/volumes.ts';
import { isScaled, rows } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { Convertible, NAME, OWNER } from './fixture.ts';

const counter = async (volume: Convertible, name: string): Promise<bigint> =>
  (await rows(volume.place, 'SELECT value FROM jfs_counter WHERE name = ?', name))[0]?.['value'] ?? 0n;

/** Something of everything. */
async function fill(volume: Convertible): Promise<void> {
  await volume.use(async (files) => {
    await files.mkdir('a');
    await files.mkdir('a/b');
    for (const name of ['one', 'a/two', 'a/b/three']) await files.write(name, 0, Buffer.alloc(200_000, name));
    await files.unlink('one');
  });
  const objects = `${volume.place.objects}${NAME}`;
  mkdirSync(`${objects}/meta`, { recursive: true });
  writeFileSync(`${objects}/meta/dump-2026-01-02-030405.json.gz`, 'names');
  writeFileSync(`${objects}/stray`, 'bytes');
  if (!isScaled) writeFileSync(`${objects}/chunks/.jfs.1_0_5.tmp.1`, 'cut short'); // only a folder's writers leave such files
  await volume.place.change("INSERT INTO jfs_delslices (chunkid, deleted, slices) VALUES (77, 1, '')");
  await volume.place.change(
    "INSERT INTO pageseal_snapshot (id, request, volume, inode, created, capacity, state) VALUES ('s', 'r', 'v', 9, 1, 0, 'ready')",
  );
}

suite('wipe', needs('openssl'), () => {
  test('takes everything, and encryption turns on', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    await fill(volume);
    const [slice, inode, old] = [
      await counter(volume, 'nextChunk'),
      await counter(volume, 'nextInode'),
      await volume.uuid(),
    ];
    assert.deepEqual(
      (await inspectEmptiness(volume.at)).reasons.map(({ code }) => code),
      ['LiveFile', 'TrashedFile', 'DelayedSlice', 'Snapshot', 'StrayObject', 'MetadataBackup'],
    );
    const order = { ...OWNER, confirmUuid: old };
    await assert.rejects(wipe(volume.at, order), (thrown) => hasCode(thrown, 'failed-precondition'));
    await volume.confirm();
    const other = { ...OWNER, confirmUuid: 'a0000000-0000-4000-8000-000000000000' };
    await assert.rejects(
      wipe(volume.at, other),
      (thrown) => hasCode(thrown, 'bad-input') && /its UUID is/.test(thrown.message),
    );
    const removed: number[] = [];
    const wiped = await wipe(volume.at, { ...order, onProgress: (count) => removed.push(count) });
    assert.equal(wiped.objectsRemoved, removed.at(-1));
    assert.ok(wiped.objectsRemoved > 10);
    assert.deepEqual(await wipe(volume.at, order), wiped);
    const { counts, reasons } = await inspectEmptiness(volume.at);
    assert.deepEqual([reasons, counts.objects], [[], 0]);
    assert.equal((await volume.switchOn({ kind: 'self-managed' })).kind, 'encrypted');
    assert.ok((await counter(volume, 'nextChunk')) >= slice && (await counter(volume, 'nextInode')) >= inode);
    assert.deepEqual(await placeViolations(volume.place), []);
    // The order is spent: its UUID is nobody's any more.
    await assert.rejects(wipe(volume.at, order), (thrown) => hasCode(thrown, 'bad-input'));
  });

  test('without encryption the file system goes on under a new UUID', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    await fill(volume);
    const old = await volume.uuid();
    await volume.confirm();
    await wipe(volume.at, { ...OWNER, confirmUuid: old });
    const given = await abandon(volume.at, OWNER);
    assert.equal(given?.uuid, await volume.uuid());
    assert.notEqual(given?.uuid, old);
    await volume.use(async (files) => files.write('new', 0, Buffer.alloc(10)));
    assert.deepEqual(await placeViolations(volume.place), []);
    await assert.rejects(wipe(volume.at, { ...OWNER, confirmUuid: old }), (thrown) => hasCode(thrown, 'bad-input'));
  });

  test('what was begun can only be finished', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    await fill(volume);
    await volume.confirm();
    const order = { ...OWNER, confirmUuid: await volume.uuid() };
    const stop = new AbortController();
    stop.abort(new Error('stopped'));
    await assert.rejects(wipe(volume.at, { ...order, signal: stop.signal }), /stopped/);
    const state = await conversionState(volume.at);
    assert.equal(state.kind === 'under-way' && state.step, 'wiping');
    for (const act of [() => abandon(volume.at, OWNER), () => volume.switchOn({ kind: 'self-managed' })])
      await assert.rejects(
        act(),
        (thrown) => hasCode(thrown, 'failed-precondition') && /wipe has begun/.test(thrown.message),
      );
    await wipe(volume.at, order);
    assert.equal((await volume.switchOn({ kind: 'self-managed' })).kind, 'encrypted');
    const left = readdirSync(volume.place.objects, { recursive: true, withFileTypes: true });
    assert.deepEqual(
      left.filter((entry) => entry.isFile()),
      [],
    );
  });

  test('volumes of a cluster stay', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    const engine = await openEngine(volume.place.metaUrl);
    await createVolume(engine, {
      id: 'v',
      request: 'r',
      directory: '/v',
      params: '',
      capacity: 0n,
      uuid: await volume.uuid(),
    });
    await engine.close();
    await volume.confirm();
    const order = { ...OWNER, confirmUuid: await volume.uuid() };
    await assert.rejects(
      wipe(volume.at, order),
      (thrown) => hasCode(thrown, 'failed-precondition') && /1 volumes of a cluster/.test(thrown.message),
    );
    await abandon(volume.at, OWNER);
    assert.equal((await rows(volume.place, 'SELECT id FROM pageseal_volume')).length, 1);
  });
});
