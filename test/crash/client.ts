// client.py as a running process, and the worker and keeper of a background mount as the machine shows them.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { readRecord } from '../../src/cli/mount/record.ts';
import { runOk, until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';

const script = fileURLToPath(new URL('client.py', import.meta.url));
/** Far above what a client does between two kills; the bound is there for a hang. */
const END_DEADLINE_MS = 120_000;

export interface Report {
  /** What should not have happened, a line each. */
  readonly bad: readonly string[];
  /** Calls that answered EIO for data on its way. */
  readonly told: number;
  readonly steps: number;
  /** That succeeded. */
  readonly calls: number;
  /** Bytes that an fsync or a close has answered for. */
  readonly safe: number;
  readonly files: number;
}

export interface Verified {
  readonly bad: readonly string[];
  readonly files: number;
  /** Bytes of files that do not hold what was answered for. */
  readonly lost: number;
}

export class Client {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  constructor(temp: Temp, mode: 'copy' | 'names', top: string, ...options: ('gone' | 'away')[]) {
    this.#child = spawn('python3', [script, mode, top, stateOf(temp, top), ...options], {
      env: temp.env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface(this.#child.stdout);
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** System calls that succeeded so far. */
  async calls(): Promise<number> {
    this.#child.stdin.write('\n');
    return Number(await this.#next());
  }

  /** Waits until the mount has answered `more` calls. */
  async progress(more: number): Promise<void> {
    const wanted = (await this.calls()) + more;
    await until(`${more} more calls`, async () => (await this.calls()) >= wanted);
  }

  /** Lets every thread finish its step. */
  async end(): Promise<Report> {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_DEADLINE_MS);
    try {
      return JSON.parse(await this.#next()) as Report;
    } finally {
      clearTimeout(timer);
      this.#lines.close();
    }
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error('the client ended without an answer');
    return value;
  }
}

/** What is on the mount against what the last client believes; from then on what is there counts. */
export async function verify(temp: Temp, top: string): Promise<Verified> {
  return JSON.parse(await runOk('python3', [script, 'verify', top, stateOf(temp, top)], { env: temp.env }));
}

const stateOf = (temp: Temp, top: string): string => temp.at(`client-state-${basename(top)}`);

/** The keeper of a mount made with `mount -d`. */
export function keeperPid(mountPoint: string): number {
  const record = readRecord(mountPoint);
  if (record === undefined) throw new Error(`no record of ${mountPoint}`);
  return record.pid;
}

/** Its worker, also one that is not serving yet; undefined between two. */
export function workerPid(keeper: number): number | undefined {
  for (const task of readdirSync(`/proc/${keeper}/task`)) {
    const children = readFileSync(`/proc/${keeper}/task/${task}/children`, 'utf8').trim();
    if (children !== '') return Number(children.split(' ')[0]);
  }
  return undefined;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
