// kill -9 before every system call that changes the database or the store; where these are servers, before and after every
// one that sends them something (fault points of kill-points.c, no sleeps): whoever comes next finds sound
// metadata, every acknowledged byte, and garbage at most, which gc removes.
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { fsck } from '../../src/filesystem/fsck/fsck.ts';
import { collectGarbage } from '../../src/filesystem/gc/gc.ts';
import { isScaled } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { type Act, type Contents, type Scenario, type Step, scenarios } from './kill-points-scenarios.ts';
import { chosenPoints, compileShim, PointsVolume } from './kill-points-volume.ts';

const empty: Contents = new Map();
const through = (tree: Contents, steps: readonly Step[]): Contents =>
  steps.reduce((now, step) => step.after(now), tree);

/** What of `found` is neither as before nor as after the step that was under way. */
function wrongIn(found: Contents, before: Contents, after: Contents, inParts: boolean): string[] {
  if (isSame(found, after)) return [];
  return [...new Set([...before.keys(), ...after.keys(), ...found.keys()])].filter((path) => {
    const [is, was, will] = [found.get(path), before.get(path), after.get(path)];
    if (found.has(path) === before.has(path) && sameBytes(is, was)) return false;
    if (!inParts || !found.has(path) || is === undefined) return true;
    const length = Math.max(was?.length ?? 0, will?.length ?? 0);
    return is.length > length || is.some((byte, at) => byte !== (was?.[at] ?? 0) && byte !== will?.[at]);
  });
}

const sameBytes = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b);
const isSame = (a: Contents, b: Contents): boolean =>
  a.size === b.size && [...a].every(([path, data]) => b.has(path) && sameBytes(data, b.get(path)));

/** Sound rows, no lost object; what is garbage goes at once, and nothing else. */
async function checkVolume(volume: PointsVolume, contents: Contents, at: string, withOriginal: boolean): Promise<void> {
  assert.deepEqual(await placeViolations(volume.place), [], at);
  assert.deepEqual((await fsck({ metaUrl: volume.metaUrl, deep: { key: { kind: 'in-metadata' } } })).findings, [], at);
  // A minute later the dead client's session is stale, a day later its half-made clone.
  await volume.place.change('UPDATE jfs_session2 SET expire = 0');
  await volume.place.change('UPDATE jfs_detached_node SET added = 1');
  await collectGarbage({ metaUrl: volume.metaUrl, delete: true, olderThanSeconds: 0 });
  const { objects, rows } = await collectGarbage({ metaUrl: volume.metaUrl, olderThanSeconds: 0 });
  assert.equal(objects.valid.count + objects.delayed.count, objects.scanned.count, at);
  assert.equal(rows.pendingSlices + rows.ledgerRows + rows.detachedTrees, 0, at);
  assert.ok(isSame(await volume.recover(), contents), `${at}: gc changed what is there`);
  assert.deepEqual(await placeViolations(volume.place), [], `${at}, after gc`);
  if (!withOriginal) return;
  assert.deepEqual(await volume.juicefs.fsck(volume.metaUrl), [], at);
  assert.match(await volume.juicefs.gc(volume.metaUrl), / 0 leaked/, at);
}

async function storm(
  t: TestContext,
  name: string,
  act: Act,
  plant?: (volume: PointsVolume) => Promise<void>,
): Promise<void> {
  const scenario = scenarios[name] as Scenario;
  const temp = makeTemp(t);
  const volume = await PointsVolume.make(temp, await compileShim(temp), name, scenario);
  const start = through(empty, scenario.prepare);
  await plant?.(volume);
  await volume.place.keep();
  const whole = await volume.act(act);
  assert.equal(whole.steps, scenario.steps.length);
  const points = chosenPoints(whole.points.length);
  assert.ok(points.length > 0);
  let killed = 0;
  for (const [i, killAt] of points.entries()) {
    await volume.place.goBack();
    const run = await volume.act(act, killAt);
    if (run.killed) killed++;
    const at = `killed at point ${run.points.at(-1)} after ${run.steps} steps`;
    const before = through(start, scenario.steps.slice(0, run.steps));
    const next = scenario.steps[run.steps];
    const contents = await volume.recover();
    assert.deepEqual(wrongIn(contents, before, next?.after(before) ?? before, next?.inParts === true), [], at);
    await checkVolume(volume, contents, at, i === points.length - 1);
  }
  t.diagnostic(`${killed} kills at ${whole.points.length} points`);
  assert.ok(killed >= points.length / 2, 'hardly any point was met');
}

/** Of failed writes, and of slices that nothing names. */
const garbage = [
  'UPDATE jfs_delslices SET deleted = 0',
  'INSERT INTO jfs_chunk_ref VALUES (997, 5, 0)',
  'INSERT INTO pageseal_page (slice_id, indx, tag, page_key) SELECT 998, 0, tag, page_key FROM pageseal_page LIMIT 1',
];

describe('kill -9 at every step', needs(...interopNeeds), () => {
  for (const name of ['write', 'rename', 'rename into the trash', 'truncate', 'unlink', 'clone'])
    test(name, (t) => storm(t, name, 'steps'));

  for (const name of ['compaction', 'compaction with trash']) test(name, (t) => storm(t, name, 'compact'));

  test('trash', (t) => storm(t, 'trash', 'empty the trash'));

  test('gc', (t) =>
    storm(t, 'gc', 'gc', async (volume) => {
      await volume.act('compact');
      for (const statement of garbage) await volume.place.change(statement);
      for (const name of ['997_0_5', '999_0_5', '996_0_5', '996_1_5']) volume.stray(name);
      if (!isScaled) volume.stray('.jfs.1_0_5.tmp.1'); // only a folder's writers leave such files
    }));
});
