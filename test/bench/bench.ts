// `npm run bench`: the original client and ours on the same machine in one run, workload by workload in turn, so that
// whatever else the machine does meets both. Everything lies in memory; what is measured is the clients.
// Options: --scaled (PostgreSQL and S3 instead), --rounds N, --only WORKLOAD[,...], --rsa BITS, --seq MIB; --scale and what scale.ts takes; --flights, --calls N;
// --processes.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeKey } from '../harness/keys.ts';
import type { Place } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { ScaledPlace } from '../harness/scaled-place.ts';
import { startServers } from '../harness/start-servers.ts';
import { Temp } from '../harness/temp.ts';
import { root } from '../harness/tools.ts';
import { type Client, JuicefsClient, OursClient } from './clients.ts';
import { flights } from './flights.ts';
import { processes } from './processes.ts';
import { scale } from './scale.ts';
import { defaults, type Sizes } from './sizes.ts';
import { Table } from './table.ts';
import type { Figures } from './workloads.ts';

/** A workload takes a few seconds; a hung mount ends the run. */
const TIMEOUT_MS = 180_000;
const MEMORY = '/dev/shm';
const ALONE = 'PAGESEAL_BENCH_ALONE';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    rsa: { type: 'string', default: '2048' },
    seq: { type: 'string' },
    scale: { type: 'boolean', default: false },
    flights: { type: 'boolean', default: false },
    processes: { type: 'boolean', default: false },
    scaled: { type: 'boolean', default: false },
    calls: { type: 'string', default: '500' },
    entries: { type: 'string', default: '1000,100000,1000000' },
    tree: { type: 'string', default: '100000' },
    'juicefs-up-to': { type: 'string', default: '100000' },
  },
});

/** In order; `cold`: on a fresh mount. A later one may need what an earlier one left. */
const plan = [
  { work: 'seqwrite', cold: false },
  { work: 'smallCreate', cold: false },
  { work: 'metadata', cold: false },
  { work: 'randwrite', cold: false },
  { work: 'untar', cold: false },
  { work: 'seqread', cold: true, needs: 'seqwrite' },
  { work: 'smallRead', cold: true, needs: 'smallCreate' },
  { work: 'stat', cold: true, needs: 'smallCreate' },
  { work: 'findLs', cold: true, needs: 'untar' },
  { work: 'randread', cold: true, needs: 'seqwrite' },
] as const;

const wanted = flags.only?.split(',');
const steps = plan.filter(({ work }) => {
  const needed = plan.some((step) => 'needs' in step && step.needs === work && wanted?.includes(step.work));
  return wanted === undefined || wanted.includes(work) || needed;
});

async function measure(client: Client, work: string, sizes: Sizes): Promise<Figures> {
  const before = client.usage();
  const load = join(root, 'test/bench/load.ts');
  const text = await runOk(process.execPath, [load, work, client.mountPoint, JSON.stringify(sizes)], {
    timeoutMs: TIMEOUT_MS,
  });
  const after = client.usage();
  return { ...(JSON.parse(text) as Figures), [`cpu ${work}`]: after.cpu - before.cpu, [`peak ${work}`]: after.peak };
}

async function mount(client: Client): Promise<Figures> {
  const start = performance.now();
  await client.mount();
  return { mount_s: (performance.now() - start) / 1000 };
}

async function round(number: number, table: Table, sizes: Sizes): Promise<void> {
  const temp = new Temp();
  try {
    const key = await makeKey(temp, Number(flags.rsa), 'pkcs8', 'bench');
    const servers = flags.scaled ? await startServers(temp) : undefined;
    const place = async (): Promise<Place | undefined> => servers && (await ScaledPlace.make(temp, servers));
    const clients: Client[] = [new OursClient(temp, key, await place()), new JuicefsClient(temp, key, await place())];
    if (number % 2 === 1) clients.reverse();
    for (const client of clients) {
      await client.format();
      table.add(client.name, number, await mount(client));
      table.add(client.name, number, { 'pss idle': client.usage().pss });
    }
    for (const { work, cold } of steps) {
      for (const client of clients) {
        if (cold) {
          await client.umount();
          table.add(client.name, number, await mount(client));
        }
        table.add(client.name, number, await measure(client, work, sizes));
      }
    }
    for (const client of clients) await client.umount();
  } finally {
    await temp.remove();
  }
}

/** A part of the dependencies: a real tree of small files. */
function makeArchive(temp: Temp): Pick<Sizes, 'archive' | 'archiveFiles'> {
  const archive = temp.at('tree.tar');
  const folders = ['commander', 'zod', 'winston', '@grpc'].map((name) => join('node_modules', name));
  const made = spawnSync('tar', ['cf', archive, '-C', root, ...folders], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`tar: ${made.stderr}`);
  const listed = spawnSync('tar', ['tf', archive], { encoding: 'utf8', maxBuffer: 64 * 1_048_576 });
  return { archive, archiveFiles: listed.stdout.split('\n').length - 1 };
}

/** In a mount namespace of its own: whoever copies the machine's mounts meanwhile would keep ours alive after unmounting. */
function alone(): void {
  if (process.env[ALONE] === '1') return;
  const args = ['--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)];
  const { status } = spawnSync('unshare', args, { stdio: 'inherit', env: { ...process.env, [ALONE]: '1' } });
  process.exit(status ?? 1);
}

alone();
if (existsSync(MEMORY)) process.env['TMPDIR'] = MEMORY;
if (flags.scale) {
  const entries = flags.entries.split(',').map(Number);
  await scale({ entries, tree: Number(flags.tree), only: flags.only, juicefsUpTo: Number(flags['juicefs-up-to']) });
  process.exit();
}
if (flags.flights) {
  console.log(`PostgreSQL and S3 over TLS, all in memory; ${cpus().length} x ${cpus()[0]?.model}`);
  process.exit((await flights(Number(flags.calls))) ? 0 : 1);
}
if (flags.processes) {
  console.log(await processes());
  process.exit();
}
const temp = new Temp();
try {
  const seq = flags.seq === undefined ? {} : { seqMiB: Number(flags.seq) };
  const sizes = { ...defaults, ...seq, ...makeArchive(temp) };
  const table = new Table('pageseal', 'juicefs');
  console.log(
    `RSA-${flags.rsa}, zstd, 4 MiB pages, ${flags.scaled ? 'PostgreSQL and S3 over TLS' : 'SQLite and a folder'}, all in memory; ${cpus().length} x ${cpus()[0]?.model}`,
  );
  for (let i = 0; i < Number(flags.rounds); i++) {
    try {
      await round(i, table, sizes);
      console.log(`round ${i + 1} of ${flags.rounds} done`);
    } catch (error) {
      // What the round measured so far counts, and the next one may do better.
      console.log(`round ${i + 1} of ${flags.rounds} ended early: ${(error as Error).message}`);
      process.exitCode = 1;
    }
  }
  console.log(table.render());
  if (wanted === undefined && !(await flights(Number(flags.calls)))) process.exitCode = 1;
} finally {
  await temp.remove();
}
