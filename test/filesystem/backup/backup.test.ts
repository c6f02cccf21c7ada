// Who makes a backup when, which ones stay, and what becomes of a failure; the dump itself runs in its thread.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { MetadataBackup } from '../../../src/filesystem/backup/backup.ts';
import { electBackup } from '../../../src/filesystem/backup/election.ts';
import { backupName, backupTime, superfluous } from '../../../src/filesystem/backup/retention.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { openStore } from '../../../src/filesystem/store/open-store.ts';
import { dumpOf, loadText } from '../../harness/dumps.ts';
import { makeTemp } from '../../harness/temp.ts';
import { collectingLog } from '../page/collecting-log.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const temp = makeTemp();
const bucket = `${temp.folder('bucket')}/`;

test('names are those of the original client', () => {
  assert.equal(backupName(new Date('2026-01-02T03:04:05.678Z')), 'dump-2026-01-02-030405.json.gz');
  assert.equal(backupTime('dump-2026-01-02-030405.json.gz'), Date.UTC(2026, 0, 2, 3, 4, 5));
  for (const other of ['dump-2026-13-02-030405.json.gz', 'dump-2026-01-02-0304.json.gz', 'mine.json', 'dump-.json.gz'])
    assert.equal(backupTime(other), undefined);
});

test('hourly backups of half a year thin out as the original client’s do', () => {
  const start = Date.UTC(2026, 0, 1);
  let files = ['mine.txt'];
  let now = start;
  for (let hour = 0; hour < 24 * 180; hour += 1) {
    now = start + hour * HOUR;
    files.push(backupName(new Date(now)));
    const gone = new Set(superfluous(files, now));
    files = files.filter((file) => !gone.has(file));
  }
  assert.ok(files.includes('mine.txt'));
  const ages = files.flatMap((file) => backupTime(file) ?? []).map((time) => (now - time) / DAY);
  const between = (from: number, to: number): number => ages.filter((age) => age > from && age <= to).length;
  assert.equal(between(-1, 2), 49);
  // One per stretch, or the one that is about to leave it beside the next.
  assert.ok(between(2, 14) >= 11 && between(2, 14) <= 13, String(between(2, 14)));
  assert.ok(between(14, 63) >= 6 && between(14, 63) <= 8, String(between(14, 63)));
  assert.ok(between(63, 200) >= 2 && between(63, 200) <= 5, String(between(63, 200)));
  // Each stretch keeps its oldest: none is empty for long.
  assert.ok(Math.max(...ages) > 120);
});

async function volume(name: string): Promise<string> {
  const metaUrl = `sqlite3://${temp.at(`${name}.db`)}`;
  const setting = { Name: name, UUID: 'd01a7f58-5fed-41c6-b259-f5c9e7628d98', Storage: 'file', Bucket: bucket };
  const more = { BlockSize: 64, TrashDays: 0, MetaVersion: 1, DirStats: true };
  const attr = { inode: 1, type: 'directory', mode: 511, mtime: 5 };
  await loadText(metaUrl, JSON.stringify({ Setting: { ...setting, ...more }, FSTree: { attr, entries: {} } }));
  return metaUrl;
}

test('one of several clients is elected per interval', async () => {
  const metaUrl = await volume('elected');
  const engines = await Promise.all([1, 2, 3].map(() => openEngine(metaUrl)));
  const round = async (now: number): Promise<number> => {
    const elected = await Promise.all(engines.map((engine) => engine.run(() => electBackup(now, HOUR))));
    return elected.filter(Boolean).length;
  };
  assert.equal(await round(1000 * HOUR), 1);
  assert.equal(await round(1000 * HOUR + HOUR / 2), 0);
  assert.equal(await round(1001 * HOUR), 1);
  // Whoever has a wrong clock does not stop backups for years.
  assert.equal(await round(2000 * HOUR), 1);
  assert.equal(await round(1002 * HOUR), 1);
  await Promise.all(engines.map((engine) => engine.close()));
});

test('a backup is the dump of that moment; a failure is logged and leaves nothing', async () => {
  const metaUrl = await volume('backed-up');
  const engine = await openEngine(metaUrl);
  const store = await openStore({ storage: 'file', bucket });
  const { log, lines } = collectingLog();
  const parts = { engine, metaUrl, store, volumeName: 'backed-up', encryptAlgo: '', key: undefined, log };
  const backup = new MetadataBackup({ ...parts, intervalMs: HOUR, skipTrash: false });
  const object = await backup.runIfDue();
  assert.equal(gunzipSync(await store.get(object ?? '')).toString(), await dumpOf(metaUrl));
  assert.equal(await backup.runIfDue(), undefined, 'not due again');
  await backup.stop();

  rmSync(bucket, { recursive: true });
  const failing = new MetadataBackup({ ...parts, intervalMs: 1, skipTrash: false });
  while (!lines.some((line) => line.includes('backup of the metadata failed')))
    await new Promise((resolve) => setTimeout(resolve, 10));
  await failing.stop();
  assert.ok(!existsSync(bucket));
  assert.deepEqual(
    readdirSync(temp.path).filter((name) => name.includes('pageseal-backup')),
    [],
  );
  await engine.close();
});
