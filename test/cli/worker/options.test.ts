// What a worker makes of the options it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOptionsOf, remoteOnly, splitOptions } from '../../../src/cli/worker/options.ts';
import { parseMountOptions } from '../../../src/config/mount-options.ts';
import type { WorkerSettings } from '../../../src/keeper/handoff.ts';

const HOUR = 3_600_000;

test('backups are made every hour, at the interval that is said, or not at all', () => {
  assert.deepEqual(splitOptions([]).open.backup, { intervalMs: HOUR, skipTrash: false });
  const told = splitOptions(['backup-meta=8h', 'backup-skip-trash', 'noatime']);
  assert.deepEqual(told.open.backup, { intervalMs: 8 * HOUR, skipTrash: true });
  assert.deepEqual(told.mount, ['noatime']);
  assert.equal(splitOptions(['backup-meta=0']).open.backup, undefined);
  // Left to whoever refuses what it does not know.
  for (const bad of ['backup-meta=10s', 'backup-meta=often'])
    assert.deepEqual(splitOptions([bad]), { open: { backup: { intervalMs: HOUR, skipTrash: false } }, mount: [bad] });
});

test('volumes of pods take the same options', () => {
  const told = parseMountOptions(['backup-meta=30m,backup-skip-trash']);
  assert.deepEqual(told.worker, ['backup-meta=30m', 'backup-skip-trash']);
  assert.throws(() => parseMountOptions(['backup-meta=1s']), { code: 'bad-input' });
});

test('io-retries are as long as those of the original client', () => {
  assert.equal(splitOptions([]).open.waits, undefined);
  assert.deepEqual(splitOptions(['io-retries=10']).open.waits, { writeMs: 285_000, otherMs: 120_000 });
  assert.deepEqual(splitOptions(['io-retries=3']).open.waits, { writeMs: 5000, otherMs: 5000 });
  assert.deepEqual(splitOptions(['io-retries=1']).open.waits, { writeMs: 0, otherMs: 0 });
  assert.deepEqual(parseMountOptions(['io-retries=10']).worker, ['io-retries=10']);
  for (const bad of ['io-retries=0', 'io-retries=31', 'io-retries=ten'])
    assert.throws(() => parseMountOptions([bad]), { code: 'bad-input' });
});

test('bandwidths are told to the store, those of volumes of pods as mount options', () => {
  const { worker } = parseMountOptions(['upload-limit=100,download-limit=2G', 'noatime']);
  assert.deepEqual(worker, ['upload-limit=100', 'download-limit=2G']);
  assert.deepEqual(splitOptions([...worker, 'ro']).mount, ['ro']);
  const settings = { options: worker, store: { bucket: 'b', uploadLimit: 1 } } as unknown as WorkerSettings;
  assert.deepEqual(openOptionsOf(settings).store, { bucket: 'b', uploadLimit: 100, downloadLimit: 2000 });
  for (const bad of ['upload-limit=fast', 'upload-limit=0.5', 'download-limit=-1'])
    assert.throws(() => parseMountOptions([bad]), { code: 'bad-input' });
});

test('settings that an earlier version wrote get the rule for what a Secret names, once', () => {
  const settings = (metaUrl: string): WorkerSettings =>
    ({ metaUrl, options: [], store: { bucket: 'b' } }) as unknown as WorkerSettings;
  const [bare, asked] = [
    'postgres://me:&remote_only=@db/x&remote_only=true',
    'postgres://me@db/x?search_path=remote_only',
  ];
  for (const [before, after] of [
    [bare, `${bare}?remote_only=true`],
    [asked, `${asked}&remote_only=true`],
    ['sqlite3:///srv/meta.db', 'sqlite3:///srv/meta.db'],
  ] as const) {
    const ruled = remoteOnly(settings(before));
    assert.equal(ruled.metaUrl, after);
    assert.deepEqual(openOptionsOf(ruled).store, { bucket: 'b', remoteOnly: true });
    assert.deepEqual(remoteOnly(ruled), ruled);
  }
});
