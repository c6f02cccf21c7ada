// kill -9 at every step of a wipe and a conversion (fault points of crash/kill-points.c): whoever comes next finds a file
// system that is as it was, locked, or encrypted and empty; and the same command, given again, finishes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspectEmptiness } from '../../src/filesystem/encryption/emptiness.ts';
import { conversionState } from '../../src/filesystem/encryption/lock.ts';
import { abandon } from '../../src/filesystem/encryption/switch.ts';
import { fsck } from '../../src/filesystem/fsck/fsck.ts';
import { readSettingOf } from '../../src/filesystem/meta/read-setting.ts';
import { openBlob } from '../../src/filesystem/page/seal.ts';
import { unlock } from '../../src/filesystem/unlock.ts';
import { chosenPoints, compileShim, type PointsRun, runToPoint } from '../crash/kill-points-volume.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { Convertible, NAME, OWNER } from './fixture.ts';

const actor = fileURLToPath(new URL('kill-points-actor.ts', import.meta.url));
const CLEAR = 'some clear text ';

/** Encrypted, empty, and sound to both clients; its UUID proves the key. */
async function checkEncrypted(volume: Convertible, juicefs: Juicefs, old: string, at: string): Promise<void> {
  const { metaUrl, objects } = volume.place;
  const found = await readSettingOf(metaUrl);
  assert.notEqual(found.setting.uuid, old, at);
  const key = unlock({ kind: 'in-metadata' }, found);
  assert.ok(key !== undefined, at);
  const uuid = await openBlob('aes256gcm-rsa', key, readFileSync(join(objects, NAME, 'juicefs_uuid')));
  key.wipe();
  assert.equal(uuid.toString(), found.setting.uuid, at);
  assert.deepEqual((await inspectEmptiness(volume.at)).reasons, [], at);
  assert.deepEqual(await placeViolations(volume.place), [], at);
  const data = Buffer.alloc(100_000, CLEAR);
  await volume.use((files) => files.write('file', 0, data), { kind: 'in-metadata' });
  assert.deepEqual((await fsck({ metaUrl, deep: { key: { kind: 'in-metadata' } } })).findings, [], at);
  assert.deepEqual(await juicefs.fsck(metaUrl), [], at);
}

/** What may be found by whoever comes next, and what giving up then makes of it. */
async function checkKilled(volume: Convertible, before: string, old: string, at: string): Promise<void> {
  const state = await conversionState(volume.at);
  if (state.kind !== 'under-way') {
    assert.ok(state.kind === 'at-rest', at);
    if (state.custody === 'unencrypted') assert.equal(await volume.record(), before, at);
    return;
  }
  assert.equal(state.uuid, old, at);
  const wiped = state.step === 'wiped' || state.step === 'switching';
  if (state.step === 'wiping') {
    await assert.rejects(abandon(volume.at, OWNER), /a wipe has begun and is not done/, at);
    return;
  }
  const given = await abandon(volume.at, OWNER);
  const uuid = await volume.uuid();
  assert.equal(given?.uuid, uuid, at);
  assert.equal(uuid === old, !wiped, at);
  if (!wiped) assert.equal(await volume.record(), before, at);
  if (wiped) assert.equal(readFileSync(join(volume.place.objects, NAME, 'juicefs_uuid'), 'utf8'), uuid, at);
  await volume.use((files) => files.mkdir('again'));
}

test('a wipe and a conversion are killed at every step', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const volume = await Convertible.make(temp, { trashDays: 1 }, 'work/meta');
  await volume.use(async (files) => {
    for (const name of ['one', 'two']) await files.write(name, 0, Buffer.alloc(150_000, CLEAR));
    await files.unlink('one');
  });
  const [before, old] = [await volume.record(), await volume.uuid()];
  const key = await makeKey(temp, 2048, 'pkcs8');
  const { place } = volume;
  const run: PointsRun = {
    temp,
    shim: await compileShim(temp),
    place,
    args: [actor, place.metaUrl, key.file, old],
  };
  const juicefs = new Juicefs(temp);
  await place.keep();
  const whole = await runToPoint(run);
  await checkEncrypted(volume, juicefs, old, 'not killed');
  const seen = new Map<string, number>();
  for (const killAt of chosenPoints(whole.points.length)) {
    await place.goBack();
    const { points, killed } = await runToPoint(run, killAt);
    const at = `killed at point ${points.at(-1)}`;
    assert.ok(killed, at);
    const state = await conversionState(volume.at);
    const step = state.kind === 'under-way' ? state.step : state.kind;
    seen.set(step, (seen.get(step) ?? 0) + 1);
    await runToPoint(run);
    await checkEncrypted(volume, juicefs, old, `${at}, done again`);
    await place.goBack();
    await runToPoint(run, killAt);
    await checkKilled(volume, before, old, `${at}, given up`);
  }
  t.diagnostic(
    `${whole.points.length} points; killed ${[...seen].map(([step, count]) => `${step}: ${count}`).join(', ')}`,
  );
});
