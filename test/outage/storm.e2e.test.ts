// Applications work on a mount whose store, database and network fail in every way that they know, one after the other:
// nobody is told of what is waited for, what was answered for is there, and the mount is never made again.
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { Client, pause, type Report, verify } from '../crash/client.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { type Fault, failOver, faults, fullStore } from './faults.ts';
import { ScaledVolume } from './scaled-volume.ts';

const outageNeeds = needs('root', 'fuse', 'openssl', 'python3', 'postgres', 'versitygw', 'the addon');
/** Calls that each client's mount must answer before and after each fault. */
const CALLS_BETWEEN = 40;
const MOMENT_MS = 300;
/** Longer than a store's and a database's own attempts, where a mount waits for nothing. */
const BEYOND_MS = 15_000;
const toldFaults = ['store unreachable', 'database killed'];

interface Running {
  readonly client: Client;
  readonly top: string;
}

class Storm {
  readonly #volume: ScaledVolume;
  readonly #clients: readonly Running[];
  #survived = 0;

  private constructor(volume: ScaledVolume, clients: readonly Running[]) {
    this.#volume = volume;
    this.#clients = clients;
  }

  static async begin(volume: ScaledVolume, modes: readonly ('copy' | 'names')[], ...options: 'away'[]): Promise<Storm> {
    const tops = modes.map((mode) => `${volume.mountPoint}/${mode}`);
    // Not by this process: the mount's ways to database and store run in it.
    await runOk('mkdir', tops);
    const clients = tops.map((top, i) => ({
      top,
      client: new Client(volume.temp, modes[i] ?? 'copy', top, ...options),
    }));
    return new Storm(volume, clients);
  }

  /** The mount works before, and works on afterwards. */
  async suffer(fault: Fault, forMs: number): Promise<void> {
    await this.#progress();
    await fault.begin(this.#volume);
    await pause(fault.momentary === true ? MOMENT_MS : forMs);
    await fault.end(this.#volume);
    await this.#progress().catch((thrown: unknown) => {
      throw new Error(`${fault.name}: the mount does not go on: ${this.#complaints}`, { cause: thrown });
    });
    this.#survived++;
  }

  async #progress(): Promise<void> {
    await Promise.all(this.#clients.map(({ client }) => client.progress(CALLS_BETWEEN)));
  }

  get #complaints(): string {
    return this.#volume.complaints.join('\n');
  }

  /** What the clients believe is there, for this mount, for the checker, and for the next mount. */
  async end(t: TestContext): Promise<Report[]> {
    const reports = await Promise.all(this.#clients.map(({ client }) => client.end()));
    const lost = await this.#verify();
    const sum = (of: keyof Omit<Report, 'bad'>): number => reports.reduce((all, report) => all + report[of], 0);
    t.diagnostic(
      `${sum('steps')} operations of ${sum('calls')} calls, ${this.#survived} faults survived, ${sum('safe')} bytes acknowledged, ${lost} of them lost, ${sum('told')} calls told of a failure`,
    );
    assert.deepEqual(
      reports.flatMap(({ bad }) => bad),
      [],
      this.#complaints,
    );
    await this.#volume.umount();
    await this.#volume.check();
    await this.#volume.mount();
    await this.#verify();
    await this.#volume.umount();
    return reports;
  }

  async #verify(): Promise<number> {
    const found = await Promise.all(this.#clients.map(({ top }) => verify(this.#volume.temp, top)));
    const bad = found.flatMap((one) => one.bad);
    assert.deepEqual(bad, [], this.#complaints);
    return found.reduce((all, { lost = 0 }) => all + lost, 0);
  }
}

describe('outages of store, database and network', outageNeeds, () => {
  test('nothing is told, nothing is lost, no operation is done twice, and the mount goes on', async (t) => {
    const volume = await ScaledVolume.make(makeTemp(t));
    await volume.mount();
    const storm = await Storm.begin(volume, ['copy', 'names']);
    for (let round = 0; round < sizes.outageRounds; round++)
      for (const fault of faults) await storm.suffer(fault, sizes.outageMs);
    await storm.suffer(failOver, sizes.outageMs);
    for (const { told } of await storm.end(t)) assert.equal(told, 0, volume.complaints.join('\n'));
  });

  test('longer than the bound, or a full store: it is told, nothing that was answered for is lost', async (t) => {
    const volume = await ScaledVolume.make(makeTemp(t));
    await volume.mount('--io-retries', '1');
    const storm = await Storm.begin(volume, ['copy'], 'away');
    for (let round = 0; round < sizes.outageRounds; round++)
      for (const fault of [fullStore, ...faults.filter(({ name }) => toldFaults.includes(name))])
        await storm.suffer(fault, BEYOND_MS);
    const [report] = await storm.end(t);
    assert.ok((report?.told ?? 0) > 0);
    assert.match(volume.log, /data lost: a slice could not be written/);
  });
});
