// The trash from outside the tree: its hours and entries listed, put back, and removed for good.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { trashName } from '../../../src/filesystem/meta/trash.ts';
import { type Ino, NodeType, TRASH } from '../../../src/filesystem/meta/types.ts';
import type { Engine } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { listEntries, listHours } from '../../../src/filesystem/trash/list.ts';
import { restoreHour } from '../../../src/filesystem/trash/restore.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from '../meta/volume.ts';

const name = (text: string): Buffer => Buffer.from(text);

interface Bench {
  readonly volume: TestVolume;
  readonly meta: OpenedMeta;
  readonly engine: Engine;
  hour(): Promise<string>;
  /** Closes, and says what is wrong with the rows. */
  close(): Promise<string[]>;
}

async function bench(t: Parameters<typeof makeTemp>[0]): Promise<Bench> {
  const volume = await TestVolume.make(makeTemp(t), { trashDays: 1 });
  const meta = await volume.open();
  const engine = await openEngine(volume.url);
  return {
    volume,
    meta,
    engine,
    hour: async () => (await listHours(engine)).at(-1)?.hour ?? '',
    close: async () => {
      await engine.close();
      await meta.close();
      return await volume.violations();
    },
  };
}

/** /top/sub/{a,b}, and /top/c, a hard link of it outside: /link. */
async function plant(meta: OpenedMeta): Promise<{ readonly top: Ino; readonly sub: Ino }> {
  const top = (await meta.mkdir(root, 1n, name('top'), 0o755)).ino;
  const sub = (await meta.mkdir(root, top, name('sub'), 0o755)).ino;
  for (const [parent, text] of [[sub, 'a'], [sub, 'b'], [top, 'c']] as const) {
    const { attr } = await meta.create(root, parent, name(text), 0o644, true);
    await meta.truncate(root, attr.ino, 5000n);
    if (text === 'c') await meta.link(root, attr.ino, 1n, name('link'));
  }
  return { top, sub };
} // biome-ignore format: one line a row

async function fell(meta: OpenedMeta, { top, sub }: { readonly top: Ino; readonly sub: Ino }): Promise<void> {
  for (const text of ['a', 'b']) await meta.unlink(root, sub, name(text));
  await meta.unlink(root, top, name('c'));
  await meta.rmdir(root, top, name('sub'));
  await meta.rmdir(root, 1n, name('top'));
}

async function paths(meta: OpenedMeta, ino: Ino = 1n, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await meta.readdir(ino, undefined, 1000, false)) {
    const path = `${prefix}/${entry.name}`;
    found.push(path);
    if (entry.type === NodeType.directory) found.push(...(await paths(meta, entry.ino, path)));
  }
  return found;
}

const options = { putBack: true, threads: 4 };

test('a deleted tree is listed with its paths and put back whole', async (t) => {
  const { meta, engine, hour, close } = await bench(t);
  const tree = await plant(meta);
  await fell(meta, tree);
  const [info] = await listHours(engine);
  assert.equal(info?.entries, 5n);
  const listed: (string | undefined)[] = [];
  for await (const { path } of listEntries(engine, info?.ino ?? 0n)) listed.push(path);
  assert.deepEqual(listed.sort(), ['/top', '/top/c', '/top/sub', '/top/sub/a', '/top/sub/b']);
  assert.deepEqual(await restoreHour({ engine, meta }, await hour(), options), {
    hour: await hour(),
    ...{ restored: 5, skipped: 0, failed: 0, failures: [] },
  });
  assert.deepEqual(await paths(meta), ['/link', '/top', '/top/c', '/top/sub', '/top/sub/a', '/top/sub/b']);
  assert.deepEqual(await close(), []);
});

test('without putting back, the tree is rebuilt inside the trash, and can be put back later', async (t) => {
  const { meta, engine, hour, close } = await bench(t);
  await fell(meta, await plant(meta));
  const { attr } = await meta.create(root, 1n, name('lone'), 0o644, true);
  await meta.unlink(root, 1n, name('lone'));
  const rebuilt = await restoreHour({ engine, meta }, await hour(), { putBack: false, threads: 4 });
  assert.deepEqual([rebuilt.restored, rebuilt.skipped], [4, 2], 'top and the file of the root stay');
  const trashed = await paths(meta, TRASH);
  assert.ok(
    trashed.some((path) => path.endsWith('-top/sub/a')),
    trashed.join(),
  );
  const back = await restoreHour({ engine, meta }, await hour(), options);
  assert.equal(back.restored, 2);
  assert.equal((await meta.lookup(root, 1n, name('lone'))).ino, attr.ino);
  assert.deepEqual(await paths(meta), ['/link', '/lone', '/top', '/top/c', '/top/sub', '/top/sub/a', '/top/sub/b']);
  assert.deepEqual(await close(), []);
});

test('a taken name and a directory that is gone keep an entry in the trash, and are told', async (t) => {
  const { meta, engine, volume, hour, close } = await bench(t);
  const { attr: old } = await meta.create(root, 1n, name('f'), 0o644, true);
  await meta.unlink(root, 1n, name('f'));
  await meta.create(root, 1n, name('f'), 0o644, true);
  const orphan = (await meta.create(root, 1n, name('g'), 0o644, true)).attr.ino;
  await meta.unlink(root, 1n, name('g'));
  await meta.mkdir(root, 1n, name('other'), 0o755);
  await meta.create(root, 1n, name('h'), 0o644, true);
  await meta.unlink(root, 1n, name('h'));
  const entry = (ino: Ino, text: string): string => trashName(1n, ino, name(text)).toString();
  volume.change(`UPDATE jfs_edge SET name = CAST('777-${orphan}-g' AS BLOB) WHERE inode = ${orphan}`);
  const report = await restoreHour({ engine, meta }, await hour(), { ...options, path: '/f' });
  assert.deepEqual(report.failures, [{ entry: entry(old.ino, 'f'), reason: 'the name is taken' }]);
  assert.deepEqual([report.restored, report.skipped], [0, 2]);
  const all = await restoreHour({ engine, meta }, await hour(), options);
  assert.deepEqual([all.restored, all.failed], [1, 2]);
  assert.match(all.failures.map(({ reason }) => reason).join(), /inode 777\) is gone/);
  await assert.rejects(restoreHour({ engine, meta }, '2020-01-01-00', options), { code: 'not-found' });
  await assert.rejects(restoreHour({ engine, meta }, 'yesterday', options), { code: 'bad-input' });
  assert.deepEqual(await close(), []);
});

test('only what was below a path comes back', async (t) => {
  const { meta, engine, hour, close } = await bench(t);
  await fell(meta, await plant(meta));
  const report = await restoreHour({ engine, meta }, await hour(), { ...options, path: 'top/sub' });
  assert.deepEqual([report.restored, report.skipped, report.failed], [3, 2, 0]);
  // Its own parent is in the trash: it went back into that.
  assert.deepEqual(await paths(meta), ['/link']);
  const rest = await restoreHour({ engine, meta }, await hour(), { ...options, path: '/top' });
  assert.equal(rest.restored, 2);
  assert.equal((await paths(meta)).length, 6);
  assert.deepEqual(await close(), []);
});

test('emptied: nodes, data and old hours go, the present hour stays for who is about to use it', async (t) => {
  const { meta, volume, engine, hour, close } = await bench(t);
  await fell(meta, await plant(meta));
  const present = await hour();
  await restoreHour({ engine, meta }, present, { putBack: false, threads: 4 });
  volume.change(
    `INSERT INTO jfs_node SELECT ${TRASH + 50n}, type, flags, mode, uid, gid, atime, mtime, ctime, atimensec, mtimensec, ctimensec, nlink, length, rdev, parent, 0, 0, 0 FROM jfs_node WHERE inode = ${TRASH + 1n};
     INSERT INTO jfs_edge (parent, name, inode, type) VALUES (${TRASH}, CAST('2020-01-01-00' AS BLOB), ${TRASH + 50n}, 2);
     UPDATE jfs_counter SET value = 50 WHERE name = 'nextTrash';
     UPDATE jfs_counter SET value = value + CASE name WHEN 'usedSpace' THEN 4096 ELSE 1 END WHERE name IN ('usedSpace', 'totalInodes')`,
  );
  assert.deepEqual(await meta.emptyTrash(Date.UTC(2021, 0, 1)), { removed: 0, kept: 0 });
  assert.deepEqual(
    (await listHours(engine)).map(({ hour: one }) => one),
    [present],
    'an old hour without entries goes',
  );
  let seen = 0;
  assert.deepEqual(
    await meta.emptyTrash(Number.POSITIVE_INFINITY, ({ removed }) => {
      seen = removed;
    }),
    { removed: 5, kept: 0 },
  );
  assert.equal(seen, 5);
  assert.deepEqual(
    (await listHours(engine)).map(({ entries }) => entries),
    [0n],
  );
  assert.deepEqual(volume.rows('jfs_delfile'), [], 'the data is gone when it says so');
  assert.equal((await meta.lookup(root, 1n, name('link'))).nlink, 1);
  assert.deepEqual(await close(), []);
});
