// `npm run bench -- --flights`: what a call costs in round trips to a PostgreSQL server, and how many calls a second there
// are with it on this machine and a millisecond further away, side by side with the original client on the same server.
// Round trips are counted on the wire, below TLS, and by our engine. Options: --calls N.
import { fileURLToPath } from 'node:url';
import { findSocket, readMetrics } from '../../src/cli/mount/metrics.ts';
import type { TestKey } from '../harness/keys.ts';
import { makeKey } from '../harness/keys.ts';
import { runOk } from '../harness/program.ts';
import { ScaledPlace } from '../harness/scaled-place.ts';
import { startServers } from '../harness/start-servers.ts';
import { Temp } from '../harness/temp.ts';
import { type Client, JuicefsClient, OursClient } from './clients.ts';
import { Conversation } from './conversation.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** In this order: each works on what those before have left. */
const CALLS = ['create', 'lookup', 'write+close', 'rename', 'unlink'] as const;
type Call = (typeof CALLS)[number];

const LATENCY_MS = 1;
const TIMEOUT_MS = 180_000;
const WARM_UP = 300;
/** docs/ARCHITECTURE.md, Metadata operations: reads, then writes with their commit. */
const BOUND = 2;
/** Figures and heartbeats go on meanwhile, some flights a second. */
const BACKGROUND = 0.2;

interface Counts {
  readonly wire: number;
  /** Of ours only. */
  readonly flights: number;
  /** The kernel's question beside a call: is the name there? One flight each. */
  readonly looks: number;
}

/** Of one call. */
interface Cost extends Counts {
  readonly perSecond: number;
}

type Costs = Map<Call, Cost>;

const minus = (after: Counts, before: Counts, calls: number): Counts => ({
  wire: (after.wire - before.wire) / calls,
  flights: (after.flights - before.flights) / calls,
  looks: (after.looks - before.looks) / calls,
});

/** A longer wire between a client and the server. */
class Distance {
  readonly #network: Conversation;
  readonly at: string;

  private constructor(network: Conversation, port: string) {
    this.#network = network;
    this.at = `127.0.0.1:${port}`;
  }

  static async make(temp: Temp, metaUrl: string, ms: number): Promise<Distance> {
    const program = temp.at('latency');
    await runOk('gcc', ['-O2', '-pthread', '-o', program, here('latency.c')]);
    const { hostname, port } = new URL(metaUrl);
    const network = new Conversation(temp, program, [hostname, port, String(ms * 1000)]);
    return new Distance(network, await network.line(TIMEOUT_MS));
  }

  async trips(): Promise<number> {
    return Number(await this.#network.ask('', TIMEOUT_MS));
  }
}

/** One client on its own database of the server. */
class Subject {
  readonly client: Client;
  readonly #metaUrl: string;
  readonly #temp: Temp;
  #distance: Distance | undefined;

  constructor(temp: Temp, client: Client, metaUrl: string) {
    this.#temp = temp;
    this.client = client;
    this.#metaUrl = metaUrl;
  }

  async mount(ms: number): Promise<void> {
    if (ms === 0) return await this.client.mount();
    this.#distance = await Distance.make(this.#temp, this.#metaUrl, ms);
    const url = new URL(this.#metaUrl);
    url.host = this.#distance.at;
    await this.client.mount(url.href);
  }

  async #counts(): Promise<Counts> {
    const wire = (await this.#distance?.trips()) ?? 0;
    if (this.client.name !== 'pageseal') return { wire, flights: 0, looks: 0 };
    const metrics = await readMetrics(findSocket(this.client.mountPoint));
    const looks = metrics.get('pageseal_fuse_requests_total{operation="lookup"}') ?? 0;
    return { wire, flights: metrics.get('pageseal_metadata_flights_total') ?? 0, looks };
  }

  async cost(call: Call, calls: number, folder: string): Promise<Cost> {
    const args = [here('calls.ts'), call, `${this.client.mountPoint}/${folder}`, String(calls)];
    const program = new Conversation(this.#temp, process.execPath, args);
    await program.line(TIMEOUT_MS);
    const before = await this.#counts();
    const seconds = Number(await program.ask('go', TIMEOUT_MS));
    const counts = minus(await this.#counts(), before, calls);
    return { ...counts, perSecond: calls / seconds };
  }
}

/** A mount is used for long: what its first calls take is another figure. */
async function measure(subjects: readonly Subject[], ms: number, calls: number): Promise<Costs[]> {
  const costs: Costs[] = subjects.map(() => new Map());
  for (const subject of subjects) await subject.mount(ms);
  for (const [folder, count] of [
    [`first-${ms}`, Math.min(calls, WARM_UP)],
    [`at-${ms}`, calls],
  ] as const)
    for (const call of CALLS)
      for (const [i, subject] of subjects.entries()) costs[i]?.set(call, await subject.cost(call, count, folder));
  for (const { client } of subjects) await client.umount();
  return costs;
}

/** Of the operation itself; a lookup is all that its call asks. */
const ownFlights = (call: Call, { flights, looks }: Cost): number => (call === 'lookup' ? flights : flights - looks);

function render(near: readonly Costs[], far: readonly Costs[]): string {
  const lines = CALLS.map((call) => {
    const at = (costs: readonly Costs[], i: number): Cost => {
      const cost = costs[i]?.get(call);
      if (cost === undefined) throw new Error(`${call} was not measured`);
      return cost;
    };
    const [ours, theirs, oursFar, theirsFar] = [at(near, 0), at(near, 1), at(far, 0), at(far, 1)];
    const rates = [ours, theirs, oursFar, theirsFar].map(({ perSecond }) => perSecond);
    const [a = 0, b = 0, c = 0, d = 0] = rates;
    return [
      call,
      ...[call === 'lookup' ? 0 : oursFar.looks, ownFlights(call, oursFar), oursFar.wire, theirsFar.wire].map(short),
      ...[a, b].map((rate) => rate.toFixed(0)),
      `${short(a / b)}×`,
      ...[c, d].map((rate) => rate.toFixed(0)),
      `${short(c / d)}×`,
    ];
  });
  const head = [
    'call',
    'lookups of the kernel',
    'flights of the operation',
    'round trips',
    'juicefs',
    'calls/s',
    'juicefs',
    'better',
  ];
  const later = [`calls/s, +${LATENCY_MS} ms`, 'juicefs', 'better'];
  const rule = [...head, ...later].map(() => '---');
  return [[...head, ...later], rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const short = (value: number): string => value.toFixed(value < 10 ? 2 : 0);

async function subjectsOf(temp: Temp, key: TestKey): Promise<Subject[]> {
  const servers = await startServers(temp);
  const subjects: Subject[] = [];
  for (const Kind of [OursClient, JuicefsClient]) {
    const place = await ScaledPlace.make(temp, servers);
    const client = new Kind(temp, key, place);
    await client.format();
    subjects.push(new Subject(temp, client, place.metaUrl));
  }
  return subjects;
}

/** Prints the table; false when an operation took more flights than it may. */
export async function flights(calls: number): Promise<boolean> {
  const temp = new Temp();
  try {
    const subjects = await subjectsOf(temp, await makeKey(temp, 2048, 'pkcs8', 'bench'));
    const near = await measure(subjects, 0, calls);
    const far = await measure(subjects, LATENCY_MS, calls);
    console.log(render(near, far));
    const over = [...(far[0] ?? [])].filter(([call, cost]) => ownFlights(call, cost) > BOUND + BACKGROUND);
    for (const [call, cost] of over)
      console.log(`${call}: ${short(ownFlights(call, cost))} flights, ${BOUND} are the bound of an operation`);
    return over.length === 0;
  } finally {
    await temp.remove();
  }
}
