// Random locks, by processes on two mounts, of some files that they share: each taken or refused as the model has it,
// given back by unlocking, closing and dying.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import type { Random } from '../model/random.ts';
import { LAST_BYTE, LockModel } from './lock-model.ts';
import { Locker } from './locker.ts';

const EACH = 2;
/** Shown of a run that went wrong. */
const SHOWN = 40;

export interface LockedMounts {
  readonly tops: readonly string[];
  /** On each of them. */
  readonly files: readonly string[];
  /** Mounts where a failed change from shared to exclusive keeps the shared lock. */
  readonly keeping: readonly number[];
}

export class RandomLocks {
  readonly #temp: Temp;
  readonly #random: Random;
  readonly #mounts: LockedMounts;
  readonly #lockers: Locker[] = [];
  readonly #models: readonly LockModel[];
  /** Files of which a lock was given back by a close, which the kernel tells the file system a little later. */
  readonly #settling = new Set<number>();
  readonly #log: string[] = [];
  /** Refusals and grants, so that a run that never met another's lock is seen. */
  refused = 0;
  granted = 0;

  private constructor(temp: Temp, random: Random, mounts: LockedMounts) {
    this.#temp = temp;
    this.#random = random;
    this.#mounts = mounts;
    this.#models = mounts.files.map(() => new LockModel());
  }

  static async begin(temp: Temp, random: Random, mounts: LockedMounts): Promise<RandomLocks> {
    const locks = new RandomLocks(temp, random, mounts);
    for (let who = 0; who < EACH * mounts.tops.length; who++) await locks.#start(who);
    return locks;
  }

  #mountOf(who: number): number {
    return who % this.#mounts.tops.length;
  }

  async #start(who: number): Promise<void> {
    this.#lockers[who] = await Locker.start(this.#temp);
    for (const file of this.#mounts.files.keys()) await this.#open(who, file);
  }

  async #open(who: number, file: number): Promise<void> {
    const path = join(this.#mounts.tops[this.#mountOf(who)] ?? '', this.#mounts.files[file] ?? '');
    assert.equal(await this.#tell(who, `open f${file} ${path} r+`), 'ok');
  }

  async #tell(who: number, command: string): Promise<string> {
    const answer = await this.#lockers[who]?.tell(command);
    this.#log.push(`process ${who} on mount ${this.#mountOf(who)}: ${command} -> ${answer}`);
    return answer ?? '';
  }

  async steps(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#step();
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const who = random.below(this.#lockers.length);
    const file = random.below(this.#models.length);
    const model = this.#models[file];
    assert.ok(model !== undefined);
    const kind = random.pick(['sh', 'sh', 'ex', 'ex', 'un'] as const);
    const start = random.below(LAST_BYTE);
    const length = random.pick([0, 1, 1 + random.below(LAST_BYTE - start)]);
    const keeps = this.#mounts.keeping.includes(this.#mountOf(who));
    const act = random.weighted<() => Promise<void>>([
      [6, () => this.#ask(who, file, `flock f${file} ${kind} nb`, () => model.flock(who, kind, keeps))],
      [10, () => this.#ask(who, file, `fcntl f${file} ${kind} ${start} ${length} nb`, () => model.fcntl(who, kind, start, length))],
      [4, () => this.#look(who, file, start, length)],
      [2, () => this.#close(who, file)],
      [0.3, () => this.#kill(who)],
    ]); // biome-ignore format: a table reads better than a column
    await act();
  }

  async #ask(who: number, file: number, command: string, judge: () => boolean): Promise<void> {
    const wanted = judge() ? 'ok' : 'EAGAIN';
    if (wanted === 'ok') this.granted++;
    else this.refused++;
    let answer = await this.#tell(who, command);
    if (wanted === 'ok' && answer === 'EAGAIN' && this.#settling.has(file))
      await until('what was closed is given back', async () => {
        answer = await this.#tell(who, command);
        return answer !== 'EAGAIN';
      });
    assert.equal(answer, wanted, this.#story());
  }

  async #look(who: number, file: number, start: number, length: number): Promise<void> {
    const free = this.#models[file]?.wouldGet(who, start, length);
    const answer = await this.#tell(who, `getlk f${file} ${start} ${length}`);
    assert.equal(answer.startsWith('un'), free, this.#story());
  }

  #leave(who: number, file: number): void {
    if (this.#models[file]?.hasWhole(who)) this.#settling.add(file);
    this.#models[file]?.gone(who);
  }

  async #close(who: number, file: number): Promise<void> {
    this.#leave(who, file);
    assert.equal(await this.#tell(who, `close f${file}`), 'ok');
    await this.#open(who, file);
  }

  async #kill(who: number): Promise<void> {
    this.#log.push(`process ${who} is killed`);
    this.#lockers[who]?.signal('SIGKILL');
    await this.#lockers[who]?.end();
    for (const file of this.#models.keys()) this.#leave(who, file);
    await this.#start(who);
  }

  #story(): string {
    return `last locks:\n${this.#log.slice(-SHOWN).join('\n')}`;
  }

  async end(): Promise<void> {
    for (const locker of this.#lockers) await locker.end();
  }
}
