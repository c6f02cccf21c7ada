// Reading directories in pieces, by offset, by a successor, and while they change.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DirectoryEntry } from '../../../src/filesystem/vfs/vfs.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const FILES = 700;

async function setUp() {
  const meta = new MemoryMeta();
  const parts = { meta, pages: new MemoryPages(4096), root: 1n, log: silent };
  const vfs = new VolumeVfs(parts);
  const names = Array.from({ length: FILES }, (_, i) => `f${String(i).padStart(4, '0')}`);
  for (const name of names) await meta.create(caller, 1n, Buffer.from(name), 0o644, true);
  return { vfs, names, meta, successor: new VolumeVfs({ ...parts, epoch: 1 }) };
}

/** At most `room` entries from `offset`. */
async function some(vfs: VolumeVfs, handle: bigint, offset: bigint, room: number, plus = false) {
  const found: DirectoryEntry[] = [];
  await vfs.readdir(caller, 1n, handle, offset, plus, (entry) => found.length < room && found.push(entry) > 0);
  return found;
}

async function all(vfs: VolumeVfs, handle: bigint, plus: boolean, room = 37): Promise<DirectoryEntry[]> {
  const found: DirectoryEntry[] = [];
  for (let offset = 0n; ; ) {
    const page = await some(vfs, handle, offset, room, plus);
    if (page.length === 0) return found;
    found.push(...page);
    offset = page.at(-1)?.nextOffset ?? 0n;
  }
}

const namesOf = (entries: readonly DirectoryEntry[]): string[] => entries.map(({ name }) => name.toString());

test('every name once, dots first, in pieces of any size, plain and with attributes', async () => {
  const { vfs, names } = await setUp();
  const handle = await vfs.opendir(caller, 1n);
  for (const plus of [false, true])
    for (const room of [1, 2, 37, 256, 10_000]) {
      const found = await all(vfs, handle, plus, room);
      assert.deepEqual(namesOf(found), ['.', '..', ...names]);
      assert.equal(found.filter(({ entry }) => entry !== undefined).length, plus ? FILES : 0);
    }
});

test('any offset can be gone back to, also by a successor', async () => {
  const { vfs, successor } = await setUp();
  const handle = await vfs.opendir(caller, 1n);
  const found = await all(vfs, handle, false);
  for (const reader of [vfs, successor])
    for (const i of [650, 3, 300, 0, 256]) {
      const next = await some(reader, handle, found[i]?.nextOffset ?? 0n, 2);
      assert.deepEqual(namesOf(next), namesOf(found.slice(i + 1, i + 3)));
    }
  await successor.releasedir(caller, 1n, handle);
});

test('removing what was listed while listing leaves nothing out', async () => {
  const { vfs, names } = await setUp();
  const handle = await vfs.opendir(caller, 1n);
  const seen: string[] = [];
  for (let offset = 0n; ; ) {
    const page = await some(vfs, handle, offset, 50, true);
    if (page.length === 0) break;
    offset = page.at(-1)?.nextOffset ?? 0n;
    for (const { name } of page) {
      seen.push(name.toString());
      if (name.length > 2) await vfs.unlink(caller, 1n, name);
    }
  }
  assert.deepEqual(seen, ['.', '..', ...names]);
  assert.deepEqual(namesOf(await all(vfs, handle, false)), ['.', '..']);
});

test('attributes read ahead are not shown once this client has changed something', async () => {
  const { vfs, meta } = await setUp();
  const handle = await vfs.opendir(caller, 1n);
  const first = await some(vfs, handle, 0n, 10, true);
  const ino = meta.names.get('f0020') ?? 0n;
  await vfs.setattr(caller, ino, { mode: 0o600 }, undefined);
  const next = await some(vfs, handle, first.at(-1)?.nextOffset ?? 0n, 30, true);
  assert.equal(next.find((entry) => entry.ino === ino)?.entry?.attr.mode, 0o600);
});

test('two readers of one handle do not lose each other the way', async () => {
  const { vfs, names } = await setUp();
  const handle = await vfs.opendir(caller, 1n);
  const found = await Promise.all([all(vfs, handle, true, 100), all(vfs, handle, false, 300), all(vfs, handle, true)]);
  for (const each of found) assert.deepEqual(namesOf(each), ['.', '..', ...names]);
});

test('a large directory is read in pages, each once, and a listing holds no more than one of them', async () => {
  const meta = new MemoryMeta();
  const { attr } = await meta.create(caller, 1n, Buffer.from('00000'), 0o644, true);
  for (let i = 1; i < 5_000; i++) meta.names.set(String(i).padStart(5, '0'), attr.ino);
  const asked: number[] = [];
  const { readdir } = meta;
  meta.readdir = async (ino, after, limit, plus) => {
    const page = await readdir.call(meta, ino, after, limit, plus);
    asked.push(page.length);
    return page;
  };
  meta.readdirAt = () => Promise.reject(new Error('counted by the database'));
  const vfs = new VolumeVfs({ meta, pages: new MemoryPages(4096), root: 1n, log: silent });
  const handle = await vfs.opendir(caller, 1n);
  let [seen, offset] = [0, 0n];
  for (let room = 0; room < 100; ) {
    room = 100;
    await vfs.readdir(caller, 1n, handle, offset, false, ({ nextOffset }) => {
      if (room === 0) return false;
      room--;
      seen++;
      offset = nextOffset;
      return true;
    });
  }
  assert.equal(seen, 5_002);
  assert.ok(Math.max(...asked) <= 256, 'entries in memory');
  assert.ok(asked.length <= 5_000 / 256 + 3, `${asked.length} pages`);
});
