// Repairs that end half-way: each is a transaction, so the next repair finds less to do and ends in a sound volume.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repair } from '../../src/filesystem/fsck/repair.ts';
import { damage, damages } from '../filesystem/fsck/damage.ts';
import { makeTemp } from '../harness/temp.ts';
import { volumeAt } from '../harness/volumes.ts';
import { placeViolations } from '../model/invariants.ts';

test('a repair that is cut short anywhere is finished by the next', async (t) => {
  const kinds = [
    'a directory lost its node and its entry',
    'a loop of directories',
    'a count too high',
    'wrong figures',
  ];
  const several = damages.filter(({ what }) => kinds.some((kind) => what.startsWith(kind))).map(({ sql }) => sql);
  const { place, metaUrl } = await volumeAt(makeTemp(t), 'trash0');
  for (const sql of several) damage(place, sql);
  await place.keep();
  for (let steps = 0; ; steps++) {
    await place.goBack();
    let left = steps;
    const onRepair = (): void => {
      if (left-- === 0) throw new Error('cut short');
    };
    const done = await repair({ metaUrl, onRepair }).catch(() => undefined);
    assert.deepEqual((await repair({ metaUrl })).findings, []);
    assert.deepEqual(await placeViolations(place, { original: true }), []);
    if (done === undefined) continue;
    assert.ok(steps > 8);
    return;
  }
});
