// Files unlinked while another mount of ours may have them open: who keeps them, and with whom they go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { RENAME_EXCHANGE } from '../../../src/filesystem/meta/rename.ts';
import { type Ino, ROOT } from '../../../src/filesystem/meta/types.ts';
import { isScaled } from '../../harness/place.ts';
import { until } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from './volume.ts';

const temp = makeTemp();
const name = (text: string): Buffer => Buffer.from(text);
/** So that looks at rows come soon; a session of this pace is stale after five seconds. */
const soon = { mountPoint: '/mnt', heartbeatMs: 1000 };

const gone = (volume: TestVolume, ino: Ino) => (): boolean =>
  volume.rows(`SELECT 1 FROM jfs_node WHERE inode = ${ino}`).length === 0;
const keepers = (volume: TestVolume): bigint[] =>
  volume.rows('SELECT sid FROM jfs_sustained ORDER BY sid').map(([sid]) => sid as bigint);

/** Two mounts, and a file of the first that the second has open. */
async function two(t: { after(hook: () => Promise<void>): void }, trashDays = 0, check = true) {
  const volume = await TestVolume.make(temp, { trashDays });
  const [a, b] = [await volume.open(soon), await volume.open(soon)];
  t.after(async () => {
    for (const meta of [a, b]) await meta.close();
    if (check) assert.deepEqual(await volume.violations(), []);
  });
  const { attr } = await a.create(root, ROOT, name('a'), 0o644, true);
  b.opened(attr.ino);
  return { volume, a, b, ino: attr.ino, sids: [a.sessionId ?? 0n, b.sessionId ?? 0n] as const };
}

test('the mount that has it open keeps it until its last close', async (t) => {
  const { volume, a, b, ino, sids } = await two(t);
  await a.unlink(root, ROOT, name('a'));
  assert.deepEqual(keepers(volume), [sids[1]]);
  assert.equal((await b.getattr(ino)).nlink, 0);
  // Written to and made longer after that, it counts.
  await b.truncate(root, ino, 10_000n);
  // Its next heartbeat has seen the row when it renewed the session twice.
  const expire = (): bigint => volume.rows(`SELECT expire FROM jfs_session2 WHERE sid = ${sids[1]}`)[0]?.[0] as bigint;
  const before = expire();
  await until('two heartbeats', () => expire() >= before + 2n);
  assert.equal(gone(volume, ino)(), false);
  await b.closed(ino);
  assert.ok(gone(volume, ino)());
});

test('nobody has it open: it goes with the next heartbeat', async (t) => {
  const { volume, a, b, ino } = await two(t);
  await b.closed(ino);
  await a.unlink(root, ROOT, name('a'));
  await until('the row is dropped', gone(volume, ino));
  assert.deepEqual(keepers(volume), []);
});

test('both have it open: it goes with the last of them, whoever that is', async (t) => {
  for (const last of [0, 1]) {
    const { volume, a, b, ino, sids } = await two(t);
    a.opened(ino);
    await a.unlink(root, ROOT, name('a'));
    assert.deepEqual(keepers(volume), [...sids]);
    const order: OpenedMeta[] = last === 0 ? [b, a] : [a, b];
    await order[0]?.closed(ino);
    if (last === 0) await until('the row is dropped', () => keepers(volume).length === 1);
    assert.equal(gone(volume, ino)(), false);
    await order[1]?.closed(ino);
    await until('the node is gone', gone(volume, ino));
  }
});

test('a rename over it counts as well; with the trash it only moves', async (t) => {
  const first = await two(t);
  await first.a.create(root, ROOT, name('b'), 0o644, true);
  await first.a.rename(root, ROOT, name('b'), ROOT, name('a'), 0);
  assert.deepEqual(keepers(first.volume), [first.sids[1]]);
  await first.a.create(root, ROOT, name('c'), 0o644, true);
  await first.a.rename(root, ROOT, name('c'), ROOT, name('a'), RENAME_EXCHANGE);
  assert.equal((await first.b.getattr(first.ino)).nlink, 0);
  await first.b.closed(first.ino);
  const second = await two(t, 1);
  await second.a.unlink(root, ROOT, name('a'));
  assert.deepEqual(keepers(second.volume), []);
  assert.equal((await second.b.getattr(second.ino)).nlink, 1);
  await second.b.closed(second.ino);
});

test('when the keeper dies it goes with the session', async (t) => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const dies = await volume.open(soon);
  const a = await volume.open(soon);
  t.after(() => a.close());
  const { attr } = await a.create(root, ROOT, name('a'), 0o644, true);
  dies.opened(attr.ino);
  await a.unlink(root, ROOT, name('a'));
  await dies.close({ keepSession: true });
  volume.change(`UPDATE jfs_session2 SET expire = 1 WHERE sid = ${dies.sessionId}`);
  assert.equal(gone(volume, attr.ino)(), false);
  await until('the stale session is ended', gone(volume, attr.ino));
  assert.deepEqual(keepers(volume), []);
  // Its files go before the session does.
  await until('the session is gone', () => volume.rows('SELECT sid FROM jfs_session2').length === 1);
  assert.deepEqual(volume.rows('SELECT sid FROM jfs_session2'), [[a.sessionId]]);
});

test('what is unlinked while mounts come and go is kept for none that is gone', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const a = await volume.open(soon);
  let coming = true;
  const unlink = async (worker: number): Promise<void> => {
    for (let turn = 0; coming; turn += 1) {
      const file = name(`${worker} ${turn}`);
      await a.create(root, ROOT, file, 0o644, true);
      await a.unlink(root, ROOT, file);
    }
  };
  const come = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await (await volume.open(soon)).close();
  };
  const unlinking = Promise.all([0, 1, 2, 3].map(unlink));
  await Promise.all([come(), come()]).finally(() => {
    coming = false;
  });
  await unlinking;
  assert.deepEqual(keepers(volume), []);
  await a.close();
  assert.deepEqual(await volume.violations(), []);
});

// SQLite locks all of the database, and for nobody else.
if (isScaled)
  test('a session that is asked to keep a file while it ends sees that', async (t) => {
    const { volume, a, b, ino, sids } = await two(t, 0, false);
    await a.unlink(root, ROOT, name('a'));
    await b.closed(ino);
    const asked = `SELECT sid FROM jfs_session2 WHERE sid = ${sids[1]} FOR KEY SHARE`;
    const ended = await volume.place.whileLocked(asked, async (stuck) => {
      const { attr } = await a.create(root, ROOT, name('b'), 0o644, true);
      const closing = b.close();
      await stuck();
      volume.change(`UPDATE jfs_node SET nlink = 0 WHERE inode = ${attr.ino};
        INSERT INTO jfs_sustained (sid, inode) VALUES (${sids[1]}, ${attr.ino})`);
      return { closing, ino: attr.ino };
    });
    await ended.closing;
    assert.deepEqual(keepers(volume), []);
    assert.ok(gone(volume, ended.ino)());
  });

test('rows of the original client and of nobody keep nothing for others', async (t) => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  volume.change(`INSERT INTO jfs_session2 VALUES (90, ${2n ** 40n}, CAST('{"Version":"1.4.2+2026-01-01"}' AS BLOB))`);
  volume.change(`INSERT INTO jfs_session2 VALUES (91, ${2n ** 40n}, CAST('no json' AS BLOB))`);
  const a = await volume.open(soon);
  t.after(() => a.close());
  const { attr } = await a.create(root, ROOT, name('a'), 0o644, true);
  await a.unlink(root, ROOT, name('a'));
  assert.ok(gone(volume, attr.ino)());
  // The original client took the node; our row of it names nothing. And a session is gone, its row left behind.
  const { attr: kept } = await a.create(root, ROOT, name('b'), 0o644, true);
  a.opened(kept.ino);
  volume.change(`INSERT INTO jfs_sustained (sid, inode) VALUES (${a.sessionId}, 4711), (77, ${kept.ino})`);
  await a.unlink(root, ROOT, name('b'));
  await a.closed(kept.ino);
  assert.ok(gone(volume, kept.ino)());
  await until('dangling rows are gone', () => keepers(volume).length === 0);
});

test('a file that got a name again is unlinked again', async (t) => {
  // Given by hand, the name is in no sum.
  const { volume, a, b, ino, sids } = await two(t, 0, false);
  await a.unlink(root, ROOT, name('a'));
  volume.change(
    `UPDATE jfs_node SET nlink = 1 WHERE inode = ${ino}; INSERT INTO jfs_edge (parent, name, inode, type) VALUES (1, CAST('b' AS BLOB), ${ino}, 1)`,
  );
  await a.unlink(root, ROOT, name('b'));
  assert.deepEqual(keepers(volume), [sids[1]]);
  await b.closed(ino);
  await until('the node is gone', gone(volume, ino));
});

test('a successor keeps what another mount unlinked until the kernel forgets it', async (t) => {
  const { volume, a, b, ino } = await two(t);
  await b.close({ keepSession: true });
  const successor = await volume.open({ ...soon, sid: b.sessionId ?? 0n });
  await a.unlink(root, ROOT, name('a'));
  await until('the heartbeat has seen it', () => successor.keptForOthers.includes(ino));
  assert.equal((await successor.getattr(ino)).nlink, 0);
  successor.forgotten(ino);
  await until('the node is gone', gone(volume, ino));
  await successor.close();
});
