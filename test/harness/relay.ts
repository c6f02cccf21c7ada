// A way to a server from addresses of another machine, and a note of each connection that took it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Inside } from './namespace.ts';
import type { Temp } from './temp.ts';

const PROGRAM = fileURLToPath(import.meta.resolve('./relay-process.ts'));

export interface RelayPlan {
  /** Where each port listens. */
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
  /** The server, with the same ports. */
  readonly target: string;
  /** A line for each connection: address and port that were connected to. */
  readonly notes: string;
}

export class Relay {
  readonly #notes: string;

  private constructor(notes: string) {
    this.#notes = notes;
  }

  static async start(temp: Temp, inside: Inside, plan: Omit<RelayPlan, 'notes'>): Promise<Relay> {
    const notes = temp.at('relay.notes');
    const [program = '', ...args] = [...inside.enter, process.execPath, PROGRAM, JSON.stringify({ ...plan, notes })];
    const child = spawn(program, args, { env: temp.env, stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('the relay has ended')));
    await Promise.race([once(child.stdout, 'data'), ended]);
    ended.catch(() => undefined);
    child.stdout.destroy();
    child.unref(); // it goes with the test's folder
    return new Relay(notes);
  }

  /** Since the start. */
  get connections(): readonly string[] {
    if (!existsSync(this.#notes)) return [];
    return readFileSync(this.#notes, 'utf8').split('\n').filter(Boolean);
  }
}
