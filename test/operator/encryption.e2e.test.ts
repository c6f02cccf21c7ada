// A declared file system that is to be encrypted from now on: each way of not being empty blocks it with its own reason, in
// status and Event; empty, or wiped first, it is turned encrypted. All at once, since each conversion waits a minute.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { before, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { condition, Declared, needed } from './declared.ts';

const temp = makeTemp();
let all: Declared;

before(async () => {
  if (needed.skip !== undefined) return;
  all = await Declared.make(temp);
  all.start();
});

interface Way {
  readonly reason: string;
  readonly text: RegExp;
  plant(name: string): Promise<unknown>;
  takeAway?(name: string): Promise<unknown>;
}

const soon = (): number => Math.floor(Date.now() / 1000) + 3600;
const session = (info: object) => (name: string) =>
  all.sql(name, `INSERT INTO jfs_session2 (sid, expire, info) VALUES (77, ${soon()}, '${JSON.stringify(info)}')`);
const rows = (insert: string) => (name: string) => all.sql(name, `INSERT INTO ${insert}`);

function put(name: string, key: string): void {
  const file = `${all.bucketFolder}/${name}/${key}`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, 'in clear');
}

const ways: Readonly<Record<string, Way>> = {
  live: {
    reason: 'LiveFile',
    text: /1 files, directories and links/,
    plant: (name) => all.use(name, (files) => files.write('file', 0, Buffer.alloc(100_000, 'clear text '))),
  },
  trashed: {
    reason: 'TrashedFile',
    text: /1 deleted files in the trash/,
    plant: (name) =>
      all.use(name, async (files) => {
        await files.write('file', 0, Buffer.alloc(1000, 1));
        await files.unlink('file');
      }),
  },
  unlinked: {
    reason: 'OpenUnlinkedFile',
    text: /1 deleted files that a client had open/,
    plant: rows('jfs_sustained (sid, inode) VALUES (5, 99)'),
  },
  pending: {
    reason: 'PendingSlice',
    text: /1 pieces of deleted data/,
    plant: rows('jfs_chunk_ref (chunkid, size, refs) VALUES (77, 5, 0)'),
  },
  delayed: {
    reason: 'DelayedSlice',
    text: /1 pieces of replaced data/,
    plant: rows(`jfs_delslices (chunkid, deleted, slices) VALUES (77, 1, '')`),
  },
  snapshot: {
    reason: 'Snapshot',
    text: /1 snapshots/,
    plant: rows(
      `pageseal_snapshot (id, request, volume, inode, created, capacity, state) VALUES ('s', 'r', 'v', 9, 1, 0, 'ready')`,
    ),
  },
  stray: {
    reason: 'StrayObject',
    text: /1 objects that belong to no file, stray\/chunks\/0\/0\/9_0_8 for example/,
    plant: async (name) => put(name, 'chunks/0/0/9_0_8'),
  },
  backup: {
    reason: 'MetadataBackup',
    text: /1 backups of the metadata in the store/,
    plant: async (name) => put(name, 'meta/dump-2026-01-01-000000.json.gz'),
  },
  ours: {
    reason: 'LiveSession',
    text: /pageseal on host worker-1 \(process 7, at \/data/,
    plant: session({ Version: '1.4.2+pageseal', HostName: 'worker-1', ProcessID: 7, MountPoint: '/data' }),
  },
  theirs: {
    reason: 'LiveSession',
    text: /juicefs on host worker-2 \(process 8, at \/jfs/,
    plant: session({ Version: '1.4.2', HostName: 'worker-2', ProcessID: 8, MountPoint: '/jfs' }),
  },
};

test('each way of not being empty blocks encryption with its own reason', needed, async () => {
  const one = async ([name, { reason, text, plant }]: [string, Way]): Promise<void> => {
    await all.declare(name, { encryption: 'none' });
    const { status } = await all.ready(name);
    assert.equal(status?.encrypted, false);
    await plant(name);
    await all.change(name, { encryption: 'required' });
    const { message } = await all.reason(name, 'EncryptionReady', reason);
    assert.match(message, text);
    const event = await all.event(name, reason);
    assert.equal(event.type, 'Warning');
    assert.match(event.message, text);
    const found = await all.find(name);
    assert.equal(found?.status?.phase, 'Blocked');
    assert.equal(found?.status?.uuid, status?.uuid);
    assert.equal(found && condition(found, 'Ready')?.status, 'False');
    assert.equal(await all.sql(name, 'SELECT COUNT(*) FROM pageseal_lock'), '0');
  };
  await Promise.all(Object.entries(ways).map(one));
});

async function isEncrypted(name: string, before: string | undefined): Promise<void> {
  const { status } = await all.ready(name);
  assert.equal(status?.encrypted, true);
  assert.notEqual(status?.uuid, before);
  assert.equal(status?.encryption, 'self-managed');
  const text = 'clear text ';
  await all.use(name, (files) => files.write('sealed', 0, Buffer.alloc(200_000, text)), true);
  const keys = all.objects(name);
  assert.ok(keys.length >= 2, keys.join());
  for (const key of keys) assert.ok(!all.object(name, key).includes(text), key);
}

test('wiped first it is turned encrypted, and a wrong UUID is refused', needed, async () => {
  const uuid = (await all.find('live'))?.status?.uuid ?? assert.fail();
  await all.change('live', { wipe: { confirm: '00000000-1111-2222-3333-444444444444' } });
  const refused = await all.reason('live', 'Wiped', 'WrongUuid');
  assert.match(refused.message, new RegExp(`nothing was wiped: the file system has UUID ${uuid}`));
  assert.ok(all.objects('live').length >= 2);
  // A wipe does not help against what a wipe must not touch.
  await all.change('ours', { wipe: { confirm: (await all.find('ours'))?.status?.uuid } });
  await all.reason('ours', 'Wiped', 'LiveSession');

  await all.change('live', { wipe: { confirm: uuid.toUpperCase() } });
  // Nobody there any more: this one goes on by itself.
  const unblocked = (await all.find('theirs'))?.status?.uuid;
  await all.sql('theirs', 'DELETE FROM jfs_session2');
  await all.declare('remade', { encryption: 'none' });
  const remade = (await all.ready('remade')).status?.uuid;
  await all.use('remade', (files) => files.write('file', 0, Buffer.alloc(1000, 1)));
  await all.change('remade', { wipe: { confirm: remade } });

  const wiped = await all.reason('live', 'Wiped', 'Wiped');
  assert.match(wiped.message, new RegExp(`wiped file system ${uuid}: 2 objects`));
  await Promise.all([isEncrypted('live', uuid), isEncrypted('theirs', unblocked)]);
  const { wipe } = (await all.find('live'))?.status ?? {};
  assert.deepEqual([wipe?.confirmed, wipe?.uuid, wipe?.objectsRemoved], [uuid, uuid, 2]);
  assert.ok(wipe?.startedAt !== undefined && wipe.finishedAt !== undefined);
  for (const reason of ['Locked', 'Wiping', 'Wiped', 'Switching', 'EncryptionOn']) await all.event('live', reason);

  // Without encryption a wipe is a wipe, under a new UUID, and once.
  await all.reason('remade', 'Wiped', 'Wiped');
  const again = await all.awaits(
    'remade',
    'Ready again',
    ({ status }) => status?.phase === 'Ready' && status.uuid !== remade,
  );
  assert.equal(again.status?.encrypted, false);
  assert.deepEqual(all.objects('remade'), ['juicefs_uuid']);
  const done = again.status?.wipe;
  await all.use('remade', (files) => files.write('later', 0, Buffer.alloc(1000, 1)));
  await all.change('remade', { trashDays: 2 });
  await all.awaits(
    'remade',
    'seen again',
    ({ status, metadata }) => status?.observedGeneration === metadata.generation,
  );
  assert.deepEqual((await all.find('remade'))?.status?.wipe, done);
  assert.equal(all.objects('remade').length, 2);
});

test('no secret value is in a log, a status or an Event', needed, async () => {
  const texts = [all.log, await all.api.kubectl('get', 'pfs,events', '-A', '-o', 'json')];
  for (const value of all.secretValues) for (const text of texts) assert.ok(!text.includes(value), value);
});
