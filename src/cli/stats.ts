// `pageseal stats MOUNTPOINT`: what a mount does, second by second, from the counters of its worker.
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import { toJson } from './json.ts';
import { findSocket, type Metrics, readMetrics } from './mount/metrics.ts';

/** Lines between two headings. */
const PAGE = 20;

export function register(program: Command): void {
  program
    .command('stats')
    .description('show live statistics of a mount: operations and bytes per second, latencies, cache, memory')
    .argument('<MOUNTPOINT>', 'a path on the mount')
    .option('--interval <seconds>', 'between two lines', '1')
    .option('-c, --count <n>', 'lines to show; 0 is no end', '0')
    .option('-n <n>', 'the same as --count')
    .option('--json', 'a line of JSON for each')
    .action(show);
}

interface Flags {
  readonly interval: string;
  readonly count: string;
  readonly n?: string;
  readonly json?: boolean;
}

function positive(text: string, flag: string, least: number): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < least) throw fail('bad-input', `stats ${flag} ${text}: wanted a number`);
  return value;
}

async function show(path: string, flags: Flags): Promise<void> {
  const interval = positive(flags.interval, '--interval', 0.01);
  const count = positive(flags.n ?? flags.count, '--count', 0);
  const socket = findSocket(path);
  let before = await readMetrics(socket);
  let since = performance.now();
  for (let i = 0; count === 0 || i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, interval * 1000));
    const now = await readMetrics(socket);
    const at = performance.now();
    const figures = figuresOf(before, now, (at - since) / 1000);
    if (flags.json) console.log(toJson({ time: new Date().toISOString(), ...figures }));
    else {
      if (i % PAGE === 0) console.log(heading);
      console.log(lineOf(figures));
    }
    before = now;
    since = at;
  }
}

/** Per second, but for memory and latencies (milliseconds). */
export interface StatsFigures {
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly dirtyBytes: number;
  readonly cacheBytes: number;
  readonly operations: number;
  readonly operationLatency: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly transactions: number;
  readonly transactionLatency: number;
  /** Of all pages that were needed, the part that was in memory; null when none was. */
  readonly cacheHits: number | null;
  readonly storeGets: number;
  readonly storeReadBytes: number;
  readonly storePuts: number;
  readonly storeWrittenBytes: number;
  readonly storeLatency: number;
}

/** Of all labels of a counter. A worker that was replaced counts from zero: what it says then is all new. */
function sumOf(metrics: Metrics, name: string): number {
  let sum = 0;
  for (const [key, value] of metrics) if (key === name || key.startsWith(`${name}{`)) sum += value;
  return sum;
}

export function figuresOf(before: Metrics, now: Metrics, seconds: number): StatsFigures {
  const grown = (name: string): number => {
    const [from, to] = [sumOf(before, name), sumOf(now, name)];
    return to >= from ? to - from : to;
  };
  const rate = (name: string): number => grown(name) / seconds;
  const latency = (name: string): number => {
    const times = grown(`${name}_total`);
    return times === 0 ? 0 : (grown(`${name}_seconds_total`) / times) * 1000;
  };
  const [hits, misses] = [grown('pageseal_cache_hits_total'), grown('pageseal_pages_opened_total')];
  return {
    cpu: rate('pageseal_process_cpu_seconds'),
    memoryBytes: sumOf(now, 'pageseal_process_resident_bytes'),
    dirtyBytes: sumOf(now, 'pageseal_dirty_bytes'),
    cacheBytes: sumOf(now, 'pageseal_cache_bytes'),
    operations: rate('pageseal_fuse_requests_total'),
    operationLatency: latency('pageseal_fuse_requests'),
    readBytes: rate('pageseal_fuse_read_bytes_total'),
    writtenBytes: rate('pageseal_fuse_written_bytes_total'),
    transactions: rate('pageseal_metadata_transactions_total'),
    transactionLatency: latency('pageseal_metadata_transactions'),
    cacheHits: hits + misses === 0 ? null : hits / (hits + misses),
    storeGets: rate('pageseal_store_requests_total{method="get"}'),
    storeReadBytes: rate('pageseal_store_read_bytes_total'),
    storePuts: rate('pageseal_store_requests_total{method="put"}'),
    storeWrittenBytes: rate('pageseal_store_written_bytes_total'),
    storeLatency: latency('pageseal_store_requests'),
  };
}

const heading = [
  '--------usage-------- ------------fuse----------- ---meta---- --cache--- -----------object-----------',
  '  cpu   mem dirty MiB |  ops    ms  read write MiB | txn     ms | hit  MiB |  get  MiB   put   MiB     ms',
].join('\n');

const whole = (value: number, width: number): string => value.toFixed(0).padStart(width);
const fine = (value: number, width: number): string => value.toFixed(value < 10 ? 1 : 0).padStart(width);
const mib = (bytes: number, width: number): string => fine(bytes / MiB, width);

function lineOf(f: StatsFigures): string {
  const hit = f.cacheHits === null ? '   -' : `${whole(f.cacheHits * 100, 3)}%`;
  return [
    `${whole(f.cpu * 100, 4)}% ${mib(f.memoryBytes, 5)} ${mib(f.dirtyBytes, 9)}`,
    `${whole(f.operations, 6)} ${fine(f.operationLatency, 5)} ${mib(f.readBytes, 5)} ${mib(f.writtenBytes, 9)}`,
    `${whole(f.transactions, 5)} ${fine(f.transactionLatency, 4)}`,
    `${hit} ${mib(f.cacheBytes, 4)}`,
    `${whole(f.storeGets, 5)} ${mib(f.storeReadBytes, 4)} ${whole(f.storePuts, 5)} ${mib(f.storeWrittenBytes, 5)} ${fine(f.storeLatency, 6)}`,
  ].join(' | ');
}
