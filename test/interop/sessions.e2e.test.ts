// A client that is killed leaves a session, locks, and unlinked files that it had open. The other one ends them: the
// original client ours, and we its.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { keeperPid, workerPid } from '../crash/client.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place, rows } from '../harness/place.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { isRunning } from '../keeper/node.ts';
import { placeViolations } from '../model/invariants.ts';
import { Locker } from './locker.ts';

/** A client of this pace is taken for dead after five seconds; both must have the same. */
const HEARTBEAT = ['--heartbeat', '1s'];

/** The original client's process that serves a mount, by its session, and the one that would start it again. */
function processesOf(info: string): number[] {
  const { ProcessID: server } = JSON.parse(info) as { ProcessID: number };
  const [, parent = '0'] = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${server}/status`, 'utf8')) ?? [];
  return [...(Number(parent) > 1 ? [Number(parent)] : []), server];
}

function ourProcesses(mountPoint: string): number[] {
  const keeper = keeperPid(mountPoint);
  return [keeper, workerPid(keeper) ?? 0];
}

/** What the session of a mount says of itself. */
async function infoOf(place: Place, mountPoint: string): Promise<string> {
  const all = await rows(place, 'SELECT CAST(info AS TEXT) AS info FROM jfs_session2');
  return all.map(({ info }) => String(info)).find((info) => info.includes(`"${mountPoint}"`)) ?? '{}';
}

async function kill(pids: readonly number[]): Promise<void> {
  assert.ok(pids.length > 0 && pids.every((pid) => pid > 1), `pids ${pids}`);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await until('it is dead', () => !pids.some(isRunning));
}

suite('sessions of killed clients', { ...needs(...interopNeeds), concurrency: 2 }, () => {
  for (const victim of ['ours', 'theirs'] as const) {
    test(`${victim} is killed: session, locks and unlinked files are cleaned up by the other client`, async (t) => {
      const temp = makeTemp(t);
      const place = await newPlace(temp);
      const { metaUrl } = place;
      const at = { ours: temp.at('ours'), theirs: temp.at('theirs') };
      const pageseal = new Pageseal(temp);
      const juicefs = new Juicefs(temp);
      await juicefs.formatAt(place, 'sessions', ['--trash-days', '0']);
      await pageseal.mount(metaUrl, at.ours, HEARTBEAT);
      await juicefs.mount(metaUrl, at.theirs, ['--heartbeat', '1', '--no-bgjob=false']);
      const count = async (sql: string): Promise<number> => (await rows(place, sql)).length;

      const survivor = victim === 'ours' ? 'theirs' : 'ours';
      const holder = await Locker.start(temp);
      const waiter = await Locker.start(temp);
      assert.equal(await holder.tell(`open f ${join(at[victim], 'unlinked')} r+`), 'ok');
      assert.equal(await holder.tell('write f 0 bytes'), 'ok');
      assert.equal(await holder.tell('fsync f'), 'ok');
      const { ino } = await stat(join(at[victim], 'unlinked'));
      await rm(join(at[victim], 'unlinked'));
      assert.equal(await holder.tell(`open g ${join(at[victim], 'locked')} r+`), 'ok');
      assert.equal(await holder.tell('flock g ex'), 'ok');
      assert.equal(await holder.tell('fcntl g ex 0 10'), 'ok');
      assert.equal(await waiter.tell(`open g ${join(at[survivor], 'locked')} r+`), 'ok');
      assert.equal(await waiter.tell('fcntl g ex 0 10 nb'), 'EAGAIN');
      assert.equal(await waiter.tell('wait flock g ex'), 'waiting');
      assert.equal(await count(`SELECT 1 FROM jfs_sustained WHERE inode = ${ino}`), 1);
      assert.equal(await count('SELECT 1 FROM jfs_session2'), 2);

      // The original client loses what it has not yet added to the figures.
      const figures = "SELECT 1 FROM jfs_counter WHERE name = 'totalInodes' AND value = 2";
      const ofRoot = 'SELECT 1 FROM jfs_dir_stats WHERE inode = 1 AND used_inodes = 1 AND data_length = 0';
      await until('the figures are written', async () => (await count(figures)) + (await count(ofRoot)) === 2);

      const pids = victim === 'ours' ? ourProcesses(at.ours) : processesOf(await infoOf(place, at.theirs));
      await kill(pids);
      spawnSync('umount', ['-l', '--no-canonicalize', at[victim]]);

      assert.equal(await waiter.hear(), 'had ok');
      assert.equal(await waiter.tell('fcntl g ex 0 10 nb'), 'ok');
      await until('its session is ended', async () => (await count('SELECT 1 FROM jfs_session2')) === 1);
      assert.equal((await count('SELECT 1 FROM jfs_flock')) + (await count('SELECT 1 FROM jfs_plock')), 2);
      assert.equal(await count('SELECT 1 FROM jfs_sustained'), 0);
      assert.equal(await count(`SELECT 1 FROM jfs_node WHERE inode = ${ino}`), 0);
      await until(
        'the data is deleted',
        async () => (await count(`SELECT 1 FROM jfs_delfile WHERE inode = ${ino}`)) === 0,
      );

      await Promise.all([holder.end(), waiter.end()]);
      if (survivor === 'ours') await pageseal.umount(at.ours);
      else await juicefs.umount(at.theirs);
      assert.deepEqual(await juicefs.fsck(metaUrl), []);
      // What the killed client had counted and not yet added is added by the next one that opens the volume.
      await pageseal.mount(metaUrl, at.ours);
      await pageseal.umount(at.ours);
      assert.deepEqual(await placeViolations(place), []);
    });
  }
});
