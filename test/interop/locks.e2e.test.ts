// Locks of real processes on three mounts of one volume: two of ours, one of the original client.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { keeperPid, workerPid } from '../crash/client.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { Locker } from './locker.ts';

/** Long enough for a waiter to have asked and looked again; nothing is measured by it. */
const A_WHILE_MS = 300;
const COUNTS = 40;

const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, A_WHILE_MS));

suite('locks between mounts', needs(...interopNeeds), () => {
  const temp = makeTemp();
  const mounts = { ours: '', others: '', theirs: '' };
  let names = 0;

  before(async () => {
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const pageseal = new Pageseal(temp);
    const juicefs = new Juicefs(temp);
    await juicefs.formatAt(place, 'locks', ['--trash-days', '0']);
    for (const name of ['ours', 'others'] as const) {
      mounts[name] = temp.at(name);
      await pageseal.mount(metaUrl, mounts[name]);
    }
    mounts.theirs = temp.at('theirs');
    await juicefs.mount(metaUrl, mounts.theirs);
  });

  /** One process on each of two mounts, with a new file open as f. */
  async function two(t: { after(hook: () => Promise<void>): void }, a: keyof typeof mounts, b: keyof typeof mounts) {
    const name = `file-${++names}`;
    const lockers = [await Locker.start(temp), await Locker.start(temp)] as const;
    t.after(async () => void (await Promise.all(lockers.map((locker) => locker.end()))));
    for (const [i, mount] of [a, b].entries())
      assert.equal(await lockers[i]?.tell(`open f ${join(mounts[mount], name)} r+`), 'ok');
    return lockers;
  }

  const pairs = [
    ['ours', 'ours'],
    ['ours', 'others'],
    ['ours', 'theirs'],
    ['theirs', 'ours'],
  ] as const;
  for (const [a, b] of pairs) {
    test(`flock: ${a} against ${b}`, async (t) => {
      const [first, second] = await two(t, a, b);
      assert.equal(await first.tell('flock f sh'), 'ok');
      assert.equal(await second.tell('flock f sh nb'), 'ok');
      assert.equal(await second.tell('flock f un'), 'ok');
      assert.equal(await second.tell('flock f ex nb'), 'EAGAIN');
      assert.equal(await first.tell('flock f ex nb'), 'ok');
      assert.equal(await second.tell('wait flock f sh'), 'waiting');
      await aWhile();
      assert.ok(second.silent);
      assert.equal(await first.tell('close f'), 'ok');
      assert.equal(await second.hear(), 'had ok');
    });

    test(`fcntl: ${a} against ${b}`, async (t) => {
      const [first, second] = await two(t, a, b);
      assert.equal(await first.tell('fcntl f ex 10 10 nb'), 'ok');
      assert.equal(await first.tell('fcntl f sh 100 0 nb'), 'ok');
      assert.equal(await second.tell('fcntl f ex 0 10 nb'), 'ok');
      assert.equal(await second.tell('fcntl f sh 19 1 nb'), 'EAGAIN');
      assert.equal(await second.tell('fcntl f sh 5000 1 nb'), 'ok');
      assert.equal(await second.tell('fcntl f ex 5000 1 nb'), 'EAGAIN');
      // The process is named to those of its own mount only.
      const pid = a === b ? first.pid : 0;
      assert.equal(await second.tell('getlk f 0 0'), `ex 10 10 ${pid}`);
      assert.equal(await second.tell('wait fcntl f ex 15 1'), 'waiting');
      await aWhile();
      assert.ok(second.silent);
      assert.equal(await first.tell('fcntl f un 12 5'), 'ok');
      assert.equal(await second.hear(), 'had ok');
      assert.equal(await first.tell('getlk f 13 5'), `ex 15 1 ${a === b ? second.pid : 0}`);
      // A process that dies gives everything back.
      assert.equal(await second.tell('wait fcntl f ex 0 0'), 'waiting');
      await aWhile();
      assert.ok(second.silent);
      first.signal('SIGKILL');
      assert.equal(await second.hear(), 'had ok');
    });
  }

  test('a waiting call is interrupted, and leaves nothing behind', async (t) => {
    const [first, second] = await two(t, 'ours', 'others');
    for (const kind of ['flock f ex', 'fcntl f ex 0 0']) {
      assert.equal(await first.tell(kind), 'ok');
      const call = second.tell(kind);
      await aWhile();
      second.signal('SIGUSR1');
      assert.equal(await call, 'EINTR');
      assert.equal(await first.tell(kind.replace('ex', 'un')), 'ok');
      assert.equal(await first.tell(`${kind} nb`), 'ok');
      assert.equal(await first.tell(kind.replace('ex', 'un')), 'ok');
    }
    // Killed while it waits, it holds nothing and waits for nothing.
    assert.equal(await first.tell('flock f ex'), 'ok');
    assert.equal(await second.tell('wait flock f ex'), 'waiting');
    await aWhile();
    second.signal('SIGKILL');
    await second.end();
    assert.equal(await first.tell('flock f un'), 'ok');
    assert.equal(await first.tell('flock f ex nb'), 'ok');
  });

  test('a worker that is killed loses no lock, and who waits goes on waiting', async (t) => {
    const [holder, waiter] = await two(t, 'ours', 'ours');
    const [other] = await two(t, 'theirs', 'theirs');
    assert.equal(await other.tell(`open f ${join(mounts.theirs, `file-${names - 1}`)} r+`), 'ok');
    for (const kind of ['flock f ex', 'fcntl f ex 0 0']) {
      assert.equal(await holder.tell(kind), 'ok');
      assert.equal(await waiter.tell(`wait ${kind}`), 'waiting');
      await aWhile();
      const keeper = keeperPid(mounts.ours);
      const worker = workerPid(keeper);
      assert.ok(worker !== undefined);
      process.kill(worker, 'SIGKILL');
      await until('another worker serves', () => (workerPid(keeper) ?? worker) !== worker);
      assert.equal(await holder.tell('stat f'), '1 0');
      assert.ok(waiter.silent);
      assert.equal(await other.tell(`${kind} nb`), 'EAGAIN');
      assert.equal(await holder.tell(kind.replace('ex', 'un')), 'ok');
      assert.equal(await waiter.hear(), 'had ok');
      assert.equal(await other.tell(`${kind} nb`), 'EAGAIN');
      // Given back by its close, though the lock was taken by the successor for a request that its predecessor had read.
      if (kind.startsWith('flock')) assert.equal(await waiter.tell(kind.replace('ex', 'un')), 'ok');
      else assert.equal(await waiter.tell('close f'), 'ok');
      assert.equal(await other.tell(`${kind} nb`), 'ok');
      assert.equal(await other.tell(kind.replace('ex', 'un')), 'ok');
    }
  });

  test('a number counted up under a lock by processes of both our mounts misses none', async (t) => {
    const [first, second] = await two(t, 'ours', 'others');
    const [third] = await two(t, 'ours', 'ours');
    assert.equal(await third.tell(`open f ${join(mounts.ours, `file-${names - 1}`)} r+`), 'ok');
    const done = await Promise.all([first, second, third].map((one) => one.tell(`count f ${COUNTS}`)));
    assert.deepEqual(done, ['ok', 'ok', 'ok']);
    assert.equal(await first.tell('fcntl f sh 0 0'), 'ok');
    assert.equal(await first.tell('read f 0 20'), String(3 * COUNTS));
  });
});
