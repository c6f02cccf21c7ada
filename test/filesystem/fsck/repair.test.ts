// Each kind of damage: the check names it and nothing else, the repair mends it and says so, and afterwards nothing is wrong.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fsck } from '../../../src/filesystem/fsck/fsck.ts';
import { repair } from '../../../src/filesystem/fsck/repair.ts';
import { makeTemp } from '../../harness/temp.ts';
import { volumeAt } from '../../harness/volumes.ts';
import { placeViolations } from '../../model/invariants.ts';
import { damage, damages } from './damage.ts';

for (const { what, sql, findings, repaired } of damages)
  test(`${what}: found, and mended`, async (t) => {
    const volume = await volumeAt(makeTemp(t), 'trash0');
    const { metaUrl } = volume;
    damage(volume.place, sql);
    const found = (await fsck({ metaUrl, figures: true })).findings;
    for (const line of found)
      assert.ok(
        findings.some((wanted) => wanted.test(line)),
        `not expected: ${line}`,
      );
    for (const wanted of findings)
      assert.ok(
        found.some((line) => wanted.test(line)),
        `not found: ${wanted}\n${found.join('\n')}`,
      );

    const report = await repair({ metaUrl });
    assert.deepEqual(report.findings, [], report.repairs.join('\n'));
    assert.deepEqual(report.refused, []);
    assert.match(report.repairs.join('\n'), repaired);
    assert.deepEqual((await fsck({ metaUrl })).findings, []);
    assert.deepEqual(await placeViolations(volume.place, { original: true }), []);
    assert.deepEqual((await repair({ metaUrl })).repairs, []);
  });

test('while others have it mounted only what is safe is repaired', async (t) => {
  const volume = await volumeAt(makeTemp(t), 'trash0');
  const { metaUrl } = volume;
  const soon = Math.floor(Date.now() / 1000) + 1000;
  damage(
    volume.place,
    `INSERT INTO jfs_session2 VALUES (9, ${soon}, x'7b7d'); UPDATE jfs_counter SET value = 9 WHERE name = 'nextSession';
     UPDATE jfs_node SET nlink = 5 WHERE inode = 4; UPDATE jfs_chunk_ref SET refs = 7 WHERE chunkid = 1;
     DELETE FROM jfs_edge WHERE inode = 5`,
  );
  const report = await repair({ metaUrl });
  assert.deepEqual(report.repairs, ['inode 4: link count set from 5 to 1']);
  assert.match(report.refused.join('\n'), /inode 5 has no entry in any directory: 1 clients have the volume mounted/);
  assert.match(report.refused.join('\n'), /counts of slices, sums and totals: 1 clients/);
  assert.match(report.findings.join('\n'), /slice 1 is used 1 times and counted 7 times/);
});

test('what cannot be repaired is left, and said to be', async (t) => {
  const volume = await volumeAt(makeTemp(t), 'trash0');
  const { metaUrl } = volume;
  damage(volume.place, "UPDATE jfs_chunk SET slices = x'00' WHERE inode = 4");
  rmSync(join(volume.place.objects, 'trash0/chunks/0/0/1_0_50001'));
  const report = await repair({ metaUrl });
  assert.deepEqual(report.repairs, []);
  assert.match(report.refused.join('\n'), /counts are left too high: rows that cannot be read/);
  assert.match(
    report.findings.join('\n'),
    /chunk 0 of inode 4: 1 bytes.*object trash0\/chunks\/0\/0\/1_0_50001 is missing/s,
  );
});

test('a part of a volume is checked and repaired by itself', async (t) => {
  const volume = await volumeAt(makeTemp(t), 'trash0');
  const { metaUrl } = volume;
  damage(volume.place, 'UPDATE jfs_node SET nlink = 5 WHERE inode IN (2, 3, 5)');
  const findings = async (path: string, recursive: boolean): Promise<number> =>
    (await fsck({ metaUrl, path, recursive })).findings.length;
  assert.equal(await findings('/', false), 0);
  assert.equal(await findings('/d', false), 1);
  assert.equal(await findings('/d', true), 2);
  assert.equal(await findings('/', true), 3);
  assert.equal((await fsck({ metaUrl, path: '/d/random' })).pages, 1);
  await assert.rejects(fsck({ metaUrl, path: '/d/none' }), { code: 'not-found' });
  rmSync(join(volume.place.objects, 'trash0/chunks/0/0/1_0_50001'));
  assert.match((await fsck({ metaUrl, path: '/d/random' })).findings.join(), /object .* is missing/);
  await repair({ metaUrl, path: '/d', recursive: true });
  assert.equal(await findings('/', true), 2);
});

test('accounts of users and groups are counted anew where the volume keeps them', async (t) => {
  const volume = await volumeAt(makeTemp(t), 'trash0');
  const { metaUrl } = volume;
  // Brings our tables, which the accounts of clients at work are in.
  await repair({ metaUrl });
  damage(
    volume.place,
    `UPDATE jfs_setting SET value = REPLACE(value, '"DirStats"', '"UserGroupQuota": true, "DirStats"');
     INSERT INTO jfs_user_group_quota VALUES (1, 0, 1000, 0, 7, 7), (2, 77, -1, -1, 4096, 1)`,
  );
  const { findings } = await fsck({ metaUrl });
  assert.match(findings.join('\n'), /^user 0 counts 7 bytes and 7 inodes, and owns \d+ and \d+$/m);
  assert.match(findings.join('\n'), /^group 77 counts 4096 bytes and 1 inodes, and owns 0 and 0$/m);
  assert.deepEqual((await repair({ metaUrl })).repairs, ['usage of users and groups counted anew']);
  assert.deepEqual((await fsck({ metaUrl })).findings, []);
});
