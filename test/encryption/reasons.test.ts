// Each way of not being empty blocks encryption with its own reason, and with no other; without it, it is empty again.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { inspectEmptiness } from '../../src/filesystem/encryption/emptiness.ts';
import { beginConversion, conversionState } from '../../src/filesystem/encryption/lock.ts';
import { abandon } from '../../src/filesystem/encryption/switch.ts';
import type { ReasonCode } from '../../src/filesystem/encryption/words.ts';
import { openFileSystem } from '../../src/filesystem/open.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { createVolume } from '../../src/filesystem/volumes.ts';
import { openKeyless } from '../../src/filesystem/without-key.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { Convertible, NAME, OWNER } from './fixture.ts';

interface Way {
  readonly codes: readonly ReasonCode[];
  readonly text: RegExp;
  readonly trashDays?: number;
  plant(volume: Convertible): Promise<void>;
  takeAway(volume: Convertible): Promise<void>;
}

const caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };

const rowsOf = (insert: string, remove: string): Pick<Way, 'plant' | 'takeAway'> => ({
  plant: ({ place }) => place.change(insert),
  takeAway: ({ place }) => place.change(remove),
});

function objectAt(path: string): Pick<Way, 'plant' | 'takeAway'> {
  const at = ({ place }: Convertible): string => `${place.objects}${NAME}/${path}`;
  return {
    plant: async (volume) => {
      mkdirSync(dirname(at(volume)), { recursive: true });
      writeFileSync(at(volume), 'clear');
    },
    takeAway: async (volume) => rmSync(at(volume)),
  };
}

/** Deleted without the trash, by whoever has no handle of it: nothing is left but what waits. */
async function purge({ place }: Convertible): Promise<void> {
  const volume = await openKeyless(place.metaUrl);
  await volume.meta.collect(() => undefined);
  await volume.close();
}

/** Unlinked under an open handle; the client is gone, its session expired. */
async function leaveOpen({ place }: Convertible): Promise<void> {
  const { metaUrl } = place;
  const fileSystem = await openFileSystem({ metaUrl, backgroundJobs: false });
  const { vfs } = fileSystem;
  await vfs.create(caller, vfs.root, Buffer.from('open'), 0o644, 0o102);
  await vfs.unlink(caller, vfs.root, Buffer.from('open'));
  await fileSystem.close({ keepSession: true });
  await place.change('UPDATE jfs_session2 SET expire = 1');
}

const ways: Readonly<Record<string, Way>> = {
  'a live file': {
    codes: ['LiveFile'],
    text: /^1 files, directories and links/,
    trashDays: 0,
    plant: (volume) => volume.use((files) => files.write('file', 0, Buffer.alloc(100_000, 1))),
    takeAway: async (volume) => {
      await volume.use((files) => files.unlink('file'));
      await purge(volume);
    },
  },
  'an empty directory': {
    codes: ['LiveFile'],
    text: /^1 files/,
    trashDays: 0,
    plant: (volume) => volume.use((files) => files.mkdir('directory')),
    takeAway: (volume) => volume.use(async (_, { vfs }) => vfs.rmdir(caller, vfs.root, Buffer.from('directory'))),
  },
  'a name that leads nowhere': {
    codes: ['LiveFile'],
    text: /^1 files/,
    ...rowsOf(
      "INSERT INTO jfs_edge (parent, name, inode, type) VALUES (1, 'x', 99, 1)",
      'DELETE FROM jfs_edge WHERE inode = 99',
    ),
  },
  'a trashed file': {
    codes: ['TrashedFile'],
    text: /^1 deleted files in the trash/,
    plant: (volume) =>
      volume.use(async (files) => {
        await files.write('file', 0, Buffer.alloc(100_000, 1));
        await files.unlink('file');
      }),
    takeAway: async ({ place }) => {
      const volume = await openKeyless(place.metaUrl);
      await volume.meta.emptyTrash(Number.POSITIVE_INFINITY);
      await volume.close();
    },
  },
  'an open-unlinked file': {
    codes: ['OpenUnlinkedFile'],
    text: /^1 deleted files that a client had open/,
    trashDays: 0,
    plant: leaveOpen,
    takeAway: async ({ place }) => {
      const volume = await openKeyless(place.metaUrl);
      await volume.meta.endDeadSessions();
      await volume.meta.collect(() => undefined);
      await volume.close();
    },
  },
  'a deleted file whose data waits': {
    codes: ['PendingSlice'],
    text: /^1 pieces of deleted data/,
    ...rowsOf('INSERT INTO jfs_delfile (inode, length, expire) VALUES (77, 5, 1)', 'DELETE FROM jfs_delfile'),
  },
  'a slice that nobody refers to': {
    codes: ['PendingSlice'],
    text: /^1 pieces of deleted data/,
    ...rowsOf('INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (77, 5, 0)', 'DELETE FROM jfs_chunk_ref'),
  },
  'a slice that is counted as used, by nobody': {
    codes: ['PendingSlice'],
    text: /^1 pieces of deleted data/,
    ...rowsOf('INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (77, 5, 1)', 'DELETE FROM jfs_chunk_ref'),
  },
  'a delayed slice': {
    codes: ['DelayedSlice'],
    text: /^1 pieces of replaced data/,
    ...rowsOf("INSERT INTO jfs_delslices (chunkid, deleted, slices) VALUES (77, 1, '')", 'DELETE FROM jfs_delslices'),
  },
  'a snapshot': {
    codes: ['Snapshot'],
    text: /^1 snapshots/,
    ...rowsOf(
      "INSERT INTO pageseal_snapshot (id, request, volume, inode, created, capacity, state) VALUES ('s', 'r', 'v', 9, 1, 0, 'ready')",
      'DELETE FROM pageseal_snapshot',
    ),
  },
  'an unfinished clone': {
    codes: ['Snapshot'],
    text: /^1 snapshots and unfinished clones/,
    ...rowsOf('INSERT INTO jfs_detached_node (inode, added) VALUES (77, 1)', 'DELETE FROM jfs_detached_node'),
  },
  'a volume of a cluster': {
    codes: ['LiveFile', 'CsiVolume'],
    text: /^1 /,
    trashDays: 0,
    plant: async (volume) => {
      const engine = await openEngine(volume.place.metaUrl);
      await createVolume(engine, { id: 'v', request: 'r', directory: '/v', params: '', capacity: 0n, uuid: await volume.uuid() });
      await engine.close();
    },
    takeAway: async (volume) => {
      await volume.use(async (_, { vfs }) => vfs.rmdir(caller, vfs.root, Buffer.from('v')));
      await volume.place.change('DELETE FROM pageseal_volume');
    },
  },
  'a stray page': { codes: ['StrayObject'], text: /demo\/chunks\/0\/0\/77_0_5 for example/, ...objectAt('chunks/0/0/77_0_5') },
  'an object of another kind': { codes: ['StrayObject'], text: /demo\/else for example/, ...objectAt('else') },
  'a metadata backup': {
    codes: ['MetadataBackup'],
    text: /^1 backups of the metadata/,
    ...objectAt('meta/dump-2026-01-02-030405.json.gz'),
  },
}; // biome-ignore format: some fit on a line

test('each way of not being empty blocks with its own reason', needs(), async (t) => {
  const temp = makeTemp(t);
  for (const trashDays of [0, 1]) {
    const volume = await Convertible.make(temp, { trashDays }, `trash-${trashDays}`);
    const names = Object.keys(ways).filter((name) => (ways[name]?.trashDays ?? 1) === trashDays);
    for (const name of names)
      await t.test(name, async () => {
        const { codes, text, plant, takeAway } = ways[name] as Way;
        const before = await volume.record();
        await plant(volume);
        const found = await inspectEmptiness(volume.at);
        assert.deepEqual(
          found.reasons.map(({ code }) => code),
          [...codes],
        );
        for (const reason of found.reasons) assert.match(reason.text, text);
        await volume.confirm();
        const switched = await volume.switchOn({ kind: 'self-managed' });
        assert.ok(switched.kind === 'blocked');
        assert.deepEqual(switched.reasons, found.reasons);
        await abandon(volume.at, OWNER);
        assert.equal(await volume.record(), before);
        await takeAway(volume);
        const after = await inspectEmptiness(volume.at);
        assert.deepEqual(after.reasons, []);
      });
  }
});

test('a live session is refused before anything is touched', needs(), async (t) => {
  const volume = await Convertible.make(makeTemp(t));
  const before = await volume.record();
  await volume.use(async () => {
    const begun = await beginConversion(volume.at, OWNER);
    assert.ok(begun.kind === 'blocked');
    assert.deepEqual(
      begun.reasons.map(({ code }) => code),
      ['LiveSession'],
    );
    assert.match(begun.reasons[0]?.text ?? '', new RegExp(`pageseal on host \\S+ \\(process ${process.pid}, `));
    assert.deepEqual(
      begun.sessions.map(({ client, pid }) => [client, pid]),
      [['pageseal', process.pid]],
    );
    assert.equal((await conversionState(volume.at)).kind, 'at-rest');
    assert.equal(await volume.record(), before);
  });
  assert.equal((await beginConversion(volume.at, OWNER)).kind, 'locked');
});
