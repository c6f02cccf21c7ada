// `pageseal compact` on a self-managed volume in use: with its key only, one slice of many, and the mount reads on.
import assert from 'node:assert/strict';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { violations } from '../model/invariants.ts';

const PIECES = 30;

/** Pieces of a kilobyte, each committed by itself. */
function inPieces(path: string): Buffer {
  const descriptor = openSync(path, 'w');
  const pieces = Array.from({ length: PIECES }, (_, i) => Buffer.alloc(1024, i + 1));
  for (const piece of pieces) {
    writeSync(descriptor, piece);
    fsyncSync(descriptor);
  }
  closeSync(descriptor);
  return Buffer.concat(pieces);
}

test('compact: key, paths, report', needs('root', 'fuse', 'openssl', 'the addon'), async (t) => {
  const temp = makeTemp(t);
  const key = await makeKey(temp, 2048, 'pkcs8', 'right');
  const pageseal = new Pageseal(temp, 'right');
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  const mountPoint = temp.at('mnt');
  await pageseal.format(metaUrl, 'own', temp.at('objects'), ['--rsa-key', key.file, '--block-size', '64K']);
  await pageseal.mount(metaUrl, mountPoint, ['--no-bgjob', '--rsa-key', key.file]);
  const [a, b] = ['a', 'b'].map((name) => inPieces(`${mountPoint}/${name}`));
  const records = (): unknown[] => {
    const database = new DatabaseSync(temp.at('meta.db'), { readOnly: true });
    const rows = database.prepare('SELECT length(CAST(slices AS BLOB)) / 24 AS n FROM jfs_chunk ORDER BY inode').all();
    database.close();
    return rows.map(({ n }) => n);
  };
  assert.deepEqual(records(), [PIECES, PIECES]);

  const json = await pageseal.ok(['compact', '--json', '--rsa-key', key.file, `${mountPoint}/a`]);
  const { failures, ...report } = JSON.parse(json) as Record<string, unknown>;
  assert.deepEqual(report, { metaUrl, chunks: 1, compacted: 1, records: PIECES - 1, failed: 0 });
  assert.deepEqual([failures, records()], [[], [1, PIECES]]);
  assert.match(
    await pageseal.ok(['compact', '--threads', '2', '--rsa-key', key.file, metaUrl, '/']),
    /1 of 1 chunks compacted, 29 records less/,
  );
  assert.deepEqual(records(), [1, 1]);
  assert.deepEqual([readFileSync(`${mountPoint}/a`), readFileSync(`${mountPoint}/b`)], [a, b]);

  for (const [args, code, said] of [
    [[`${mountPoint}/a`], 3, /key/],
    [['--rsa-key', key.file, `${mountPoint}/none`], 4, /ENOENT/],
    [['--rsa-key', key.file, metaUrl, '/none'], 4, /no "none"/],
    [['--rsa-key', key.file, metaUrl], 2, /a path is missing/],
    [['--rsa-key', key.file, temp.path], 2, /not on a mount of Pageseal/],
  ] as const) {
    const outcome = await pageseal.run(['compact', ...args]);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, said);
  }
  await pageseal.umount(mountPoint);
  assert.deepEqual(violations(temp.at('meta.db')), []);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep', '--rsa-key', key.file]), /nothing is wrong/);
});
