// Sessions, ids, resent requests, settings that change under an open volume.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import type { Caller } from '../../../src/base/words.ts';
import { electJob, IdBatches } from '../../../src/filesystem/meta/counters.ts';
import { claimKey, readLedgerSetting } from '../../../src/filesystem/meta/ledger-setting.ts';
import { openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { readSetting, readSettingOf } from '../../../src/filesystem/meta/read-setting.ts';
import { endStaleSessions, Suspects } from '../../../src/filesystem/meta/stale-sessions.ts';
import { ROOT } from '../../../src/filesystem/meta/types.ts';
import { Usage } from '../../../src/filesystem/meta/usage.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { makeTemp } from '../../harness/temp.ts';
import { quiet, root, TestVolume } from './volume.ts';

const temp = makeTemp();
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const name = (text: string): Buffer => Buffer.from(text);
const asked = (unique: bigint, resent = false, mount = 77n): Caller => ({
  ...root,
  request: { mount, unique, resent },
});

test('a resent request gets its first answer and is not done again', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const first = await meta.create(asked(10n), ROOT, name('a'), 0o644, true);
  assert.deepEqual(await meta.create(asked(10n, true), ROOT, name('a'), 0o644, true), first);
  await meta.unlink(asked(12n), ROOT, name('a'));
  await meta.unlink(asked(12n, true), ROOT, name('a'));
  // Not resent: it is a new request, whatever the slot holds; another connection's is another too.
  await assert.rejects(meta.unlink(asked(12n), ROOT, name('a')), is('ENOENT'));
  await assert.rejects(meta.unlink(asked(12n, true, 78n), ROOT, name('a')), is('ENOENT'));
  // The same slot, 4096 requests later.
  await meta.mkdir(asked(10n + 2n * 4096n), ROOT, name('d'), 0o755);
  await assert.rejects(meta.mkdir(asked(10n, true), ROOT, name('d'), 0o755), is('EEXIST'));
  assert.equal(volume.rows('pageseal_request').length, 2);
  // A successor finds the answers; the end of the session takes them.
  const sid = meta.sessionId;
  assert.ok(sid !== undefined);
  await meta.close({ keepSession: true });
  const successor = await volume.open({ mountPoint: '/mnt', sid });
  assert.equal(successor.sessionId, sid);
  const dir = await successor.mkdir(asked(10n + 2n * 4096n, true), ROOT, name('d'), 0o755);
  assert.equal(dir.nlink, 2);
  await successor.close();
  assert.deepEqual(volume.rows('pageseal_request'), []);
  assert.deepEqual(volume.rows('jfs_session2'), []);
});

test('a successor keeps unlinked open files until the kernel forgets them', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const { attr } = await meta.create(root, ROOT, name('a'), 0o644, true);
  meta.opened(attr.ino);
  await meta.unlink(root, ROOT, name('a'));
  const sid = meta.sessionId ?? 0n;
  await meta.close({ keepSession: true });
  const successor = await volume.open({ mountPoint: '/mnt', sid });
  assert.equal((await successor.getattr(attr.ino)).nlink, 0);
  successor.forgotten(attr.ino);
  await successor.close();
  assert.deepEqual(volume.rows('jfs_sustained'), []);
  assert.equal(volume.rows(`SELECT 1 FROM jfs_node WHERE inode = ${attr.ino}`).length, 0);
  assert.equal(volume.counters()['totalInodes'], 0n);
});

test('a successor keeps what its predecessor may have had open when it is unlinked', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const { attr } = await meta.create(root, ROOT, name('a'), 0o644, true);
  meta.opened(attr.ino);
  const sid = meta.sessionId ?? 0n;
  await meta.close({ keepSession: true });
  const successor = await volume.open({ mountPoint: '/mnt', sid });
  await successor.unlink(root, ROOT, name('a'));
  // One of its handles is used and closed; the predecessor's others are not known.
  successor.opened(attr.ino);
  assert.deepEqual(successor.keptForOthers, []);
  await successor.closed(attr.ino);
  assert.deepEqual(successor.keptForOthers, [attr.ino]);
  assert.equal((await successor.getattr(attr.ino)).nlink, 0);
  successor.forgotten(attr.ino);
  await successor.close();
  assert.equal(volume.rows(`SELECT 1 FROM jfs_node WHERE inode = ${attr.ino}`).length, 0);
  assert.equal(volume.counters()['totalInodes'], 0n);
});

test('a successor whose session was ended meanwhile still keeps what its predecessor may have open', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const { attr } = await meta.create(root, ROOT, name('a'), 0o644, true);
  meta.opened(attr.ino);
  const sid = meta.sessionId ?? 0n;
  await meta.close({ keepSession: true });
  volume.change('DELETE FROM jfs_session2');
  const successor = await volume.open({ mountPoint: '/mnt', sid });
  assert.notEqual(successor.sessionId, sid);
  await successor.unlink(root, ROOT, name('a'));
  assert.equal((await successor.getattr(attr.ino)).nlink, 0);
  await successor.close();
});

test('what a lost session had kept comes along into the next', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const { attr } = await meta.create(asked(10n), ROOT, name('a'), 0o644, true);
  meta.opened(attr.ino);
  await meta.unlink(asked(12n), ROOT, name('a'));
  const before = meta.sessionId ?? 0n;
  await meta.close({ keepSession: true });
  volume.change('DELETE FROM jfs_session2');
  const successor = await volume.open({ mountPoint: '/mnt', sid: before });
  assert.ok((successor.sessionId ?? 0n) > before);
  await successor.unlink(asked(12n, true), ROOT, name('a'));
  successor.forgotten(attr.ino);
  await successor.close();
  for (const table of ['jfs_session2', 'jfs_sustained', 'pageseal_request'])
    assert.deepEqual(volume.rows(table), [], table);
});

test('a session is looked at before the first write after a suspension of the machine', async (context) => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const sid = meta.sessionId;
  volume.change('DELETE FROM jfs_session2');
  // The monotonic clock stands still meanwhile.
  context.mock.method(
    Date,
    'now',
    (
      (now) => () =>
        now + 60_000
    )(Date.now()),
  );
  await meta.mkdir(root, ROOT, name('d'), 0o755);
  assert.notEqual(meta.sessionId, sid);
  assert.equal(volume.rows('jfs_session2').length, 1);
  await meta.close();
});

test('an unlinked open file that got a name again by another client stays', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const { attr } = await meta.create(root, ROOT, name('a'), 0o644, true);
  meta.opened(attr.ino);
  await meta.unlink(root, ROOT, name('a'));
  volume.change(
    `UPDATE jfs_node SET nlink = 1 WHERE inode = ${attr.ino}; INSERT INTO jfs_edge (parent, name, inode, type) VALUES (1, CAST('b' AS BLOB), ${attr.ino}, 1)`,
  );
  await meta.closed(attr.ino);
  assert.equal((await meta.lookup(root, ROOT, name('b'))).ino, attr.ino);
  await meta.close();
  assert.deepEqual(volume.rows('jfs_sustained'), []);
  assert.deepEqual(volume.rows('jfs_delfile'), []);
});

test('a stale session is ended by others: locks, unlinked files, row', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const { attr } = await meta.create(root, ROOT, name('a'), 0o644, true);
  meta.opened(attr.ino);
  await meta.unlink(root, ROOT, name('a'));
  const sid = meta.sessionId ?? 0n;
  await meta.close({ keepSession: true });
  volume.change(
    `UPDATE jfs_session2 SET expire = 1; INSERT INTO jfs_flock (inode, sid, owner, ltype) VALUES (1, ${sid}, -5, 87); INSERT INTO jfs_plock (inode, sid, owner, records) VALUES (1, ${sid}, 1, x'00')`,
  );
  const engine = await openEngine(volume.url);
  const { setting } = await readSetting(engine);
  const usage = new Usage(
    engine,
    quiet,
    () => setting,
    () => 0n,
  );
  const deleted: bigint[] = [];
  const judge = { engine, usage, log: quiet, own: 0n, heartbeatMs: 12_000, suspects: new Suspects() };
  await endStaleSessions(judge, (ino) => deleted.push(ino));
  await usage.close();
  assert.deepEqual(deleted, [attr.ino]);
  for (const table of ['jfs_session2', 'jfs_sustained', 'jfs_flock', 'jfs_plock'])
    assert.deepEqual(volume.rows(table), [], table);
  assert.deepEqual(volume.rows('SELECT inode, length FROM jfs_delfile'), [[attr.ino, 0n]]);
  assert.equal(volume.counters()['totalInodes'], 0n);
  // Elected a moment ago: nobody else does it now.
  volume.change('INSERT INTO jfs_session2 VALUES (99, 1, NULL)');
  await endStaleSessions(judge, () => undefined);
  assert.equal(volume.rows('jfs_session2').length, 1);
  await engine.close();
});

test('ids are never given out twice, by nobody, however many ask at once', async () => {
  const volume = await TestVolume.make(temp);
  const engines = await Promise.all([openEngine(volume.url), openEngine(volume.url)]);
  const batches = engines.map((engine) => new IdBatches(engine, 'nextChunk', 10n));
  const ids = await Promise.all(Array.from({ length: 200 }, (_, i) => batches[i % 2]?.next()));
  assert.equal(new Set(ids).size, 200);
  assert.ok(ids.every((id) => id !== undefined && id >= 1n));
  await Promise.all(engines.map((engine) => engine.sync()));
  for (const engine of engines) await engine.close();
  assert.ok((volume.counters()['nextChunk'] ?? 0n) > 200n);
});

test('a job is elected once per interval', async () => {
  const volume = await TestVolume.make(temp);
  const engine = await openEngine(volume.url);
  const elect = (now: bigint): Promise<boolean> => engine.run(() => electJob('lastCleanupFiles', now, 100n));
  assert.deepEqual(
    [await elect(1000n), await elect(1099n), await elect(1100n), await elect(1101n)],
    [true, false, true, false],
  );
  assert.equal(volume.counters()['lastCleanupFiles'], 1100n);
  await engine.close();
});

test('the first key shown becomes the key: later ones must be the same', async () => {
  const volume = await TestVolume.make(temp);
  const engine = await openEngine(volume.url);
  const claim = (byte: number) => ({
    keyCheck: Buffer.alloc(32, byte),
    ledger: Buffer.alloc(61, byte),
    custody: 'self-managed' as const,
  });
  const [a, b] = await Promise.allSettled([claimKey(engine, 'u', claim(1)), claimKey(engine, 'u', claim(2))]);
  assert.equal(a?.status, 'fulfilled');
  assert.ok(b?.status === 'rejected' && hasCode(b.reason, 'wrong-key'));
  const again = await claimKey(engine, 'u', { ...claim(1), ledger: Buffer.alloc(61, 9) });
  assert.deepEqual(again.ledger, Buffer.alloc(61, 1));
  assert.deepEqual((await readLedgerSetting(engine)).keyCheck, Buffer.alloc(32, 1));
  await engine.close();
});

test('records that cannot be served are refused with their own error, and nothing is written', async () => {
  const volume = await TestVolume.make(temp);
  const original = volume.rows("SELECT value FROM jfs_setting WHERE name = 'format'")[0]?.[0] as string;
  const put = (text: string): void => volume.change(`UPDATE jfs_setting SET value = '${text}'`);
  const open = async (readOnly = false): Promise<void> => {
    const meta = await openMeta({
      engine: await openEngine(volume.url, { readOnly }),
      readOnly,
      log: quiet,
      removeSlice: async () => undefined,
    });
    await meta.close();
  };
  put(original.replace('"MetaVersion": 1', '"MetaVersion": 3'));
  await assert.rejects(open(), is('newer-format'));
  put(original.replace('"MetaVersion": 1', '"MetaVersion": 2'));
  await assert.rejects(open(), is('newer-format'));
  volume.change("INSERT INTO pageseal_lock VALUES ('conversion', x'00', 1)");
  await assert.rejects(open(), is('busy'));
  // Whatever stands in the record, the row of the lock counts; also for who only reads.
  put(original);
  await assert.rejects(open(), is('busy'));
  await assert.rejects(open(true), is('busy'));
  volume.change('DELETE FROM pageseal_lock');
  put(original.replace('"DirStats": true', '"DirStats": true, "ChangeLog": true'));
  await assert.rejects(open(), is('unsupported'));
  await open(true);
  volume.change('DELETE FROM jfs_setting');
  await assert.rejects(open(), is('not-formatted'));
  assert.deepEqual(volume.rows('jfs_session2'), []);
  assert.equal(volume.counters()['nextSession'], 0n);
  const empty = await TestVolume.empty(temp);
  await (await openEngine(empty.url, { create: true })).close();
  await assert.rejects(readSettingOf(empty.url), is('not-formatted'));
});

test('a read-only opening writes nothing at all', async () => {
  const volume = await TestVolume.make(temp);
  const before = volume.rows('SELECT * FROM jfs_counter UNION ALL SELECT sid, expire FROM jfs_session2');
  const meta = await openMeta({
    engine: await openEngine(volume.url, { readOnly: true }),
    readOnly: true,
    log: quiet,
    removeSlice: async () => undefined,
  });
  assert.equal(meta.sessionId, undefined);
  assert.equal((await meta.getattr(ROOT)).nlink, 2);
  await assert.rejects(meta.mkdir(root, ROOT, name('d'), 0o755), is('EROFS'));
  await assert.rejects(meta.newSliceId(), is('EROFS'));
  await meta.close();
  assert.deepEqual(volume.rows('SELECT * FROM jfs_counter UNION ALL SELECT sid, expire FROM jfs_session2'), before);
});

test('a session is not ended by a clock that is ahead, as long as it moves', (context) => {
  let [wall, monotonic] = [1_000_000n, 0];
  context.mock.method(Date, 'now', () => Number(wall) * 1000);
  context.mock.method(performance, 'now', () => monotonic);
  const suspects = new Suspects();
  const look = (...sessions: [sid: bigint, expire: bigint][]): bigint[] => {
    wall += 12n;
    monotonic += 12_000;
    return suspects.look(
      sessions.map(([sid, expire]) => ({ sid, expire })),
      60_000,
    );
  };
  // Its clock is 100 s behind: whatever it writes is over for us.
  for (let i = 0; i < 20; i++) assert.deepEqual(look([1n, wall + 12n - 40n]), []);
  // Then it stands still: for as long as a session may.
  const last = wall - 40n;
  const ends = Array.from({ length: 6 }, () => look([1n, last]));
  assert.deepEqual(ends, [[], [], [], [], [1n], [1n]]);
  // A first look that finds it long over needs no second; one that is about to be over is watched before.
  assert.deepEqual(look([2n, wall - 400n], [3n, wall - 10n]), [2n]);
});

test('a session lasts longer where somebody with a clock ahead ends sessions', async () => {
  const volume = await TestVolume.make(temp);
  const lasts = async (): Promise<number> => {
    const meta = await volume.open();
    const [[expire]] = volume.rows('SELECT expire FROM jfs_session2') as [[bigint]];
    await meta.close();
    return Number(expire) - Math.floor(Date.now() / 1000);
  };
  const judged = (ahead: number): void =>
    volume.change(
      `INSERT INTO jfs_counter VALUES ('lastCleanupSessions', ${Math.floor(Date.now() / 1000) + ahead})
       ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    );
  judged(-5);
  assert.ok((await lasts()) <= 60);
  judged(100);
  assert.ok((await lasts()) >= 160);
  judged(1_000_000);
  assert.ok((await lasts()) <= 360, 'a clock that is wrong is no measure');
});

test('unlinked open files that are still there come along into the next session', async (context) => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const [meta, other] = [await volume.open(), await volume.open()];
  const unlinked = async (text: string): Promise<bigint> => {
    const { attr } = await meta.create(root, ROOT, name(text), 0o644, true);
    for (const one of [meta, other]) one.opened(attr.ino);
    await other.unlink(root, ROOT, name(text));
    return attr.ino;
  };
  const [kept, gone] = [await unlinked('kept'), await unlinked('gone')];
  await other.closed(gone);
  // As another client ends it: first the files that nobody else keeps, then the row.
  const sid = meta.sessionId ?? 0n;
  volume.change(
    `DELETE FROM jfs_sustained WHERE sid = ${sid}; DELETE FROM jfs_node WHERE inode = ${gone}; DELETE FROM jfs_session2 WHERE sid = ${sid}`,
  );
  const later = Date.now() + 60_000;
  context.mock.method(Date, 'now', () => later);
  await meta.mkdir(root, ROOT, name('d'), 0o755);
  assert.notEqual(meta.sessionId, sid);
  assert.deepEqual(volume.rows(`SELECT inode FROM jfs_sustained WHERE sid = ${meta.sessionId}`), [[kept]]);
  await other.closed(kept);
  assert.equal((await meta.getattr(kept)).nlink, 0, 'it is still ours');
  await Promise.all([meta.close(), other.close()]);
  assert.equal(volume.rows(`SELECT 1 FROM jfs_node WHERE inode = ${kept}`).length, 0, 'and goes with the session');
});
