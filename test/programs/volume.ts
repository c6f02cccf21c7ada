// A mounted volume for programs that know nothing of it, and the checks that everybody agrees on it afterwards.
import assert from 'node:assert/strict';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place } from '../harness/place.ts';
import { type RunOptions, run } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { placeViolations } from '../model/invariants.ts';

/** Longer than any of the programs takes at its long size. */
const PROGRAM_TIMEOUT_MS = 3_600_000;

export class ProgramVolume {
  readonly top: string;
  readonly #temp: Temp;
  readonly #place: Place;
  readonly #pageseal: Pageseal;

  private constructor(temp: Temp, place: Place) {
    this.#temp = temp;
    this.#place = place;
    this.#pageseal = new Pageseal(temp);
    this.top = temp.at('mount');
  }

  static async mount(temp: Temp): Promise<ProgramVolume> {
    const volume = new ProgramVolume(temp, await newPlace(temp));
    const key = await makeKey(temp, 2048, 'pkcs8');
    const flags = ['--encrypt-rsa-key', key.file, '--trash-days', '0', '--compress', 'zstd'];
    await volume.#pageseal.formatAt(volume.#place, 'programs', flags);
    await volume.remount();
    return volume;
  }

  get #metaUrl(): string {
    return this.#place.metaUrl;
  }

  /** With nothing of the last mount in any cache. */
  async remount(): Promise<void> {
    if (this.#temp.mounts().length > 0) await this.#pageseal.umount(this.top);
    await this.#pageseal.mount(this.#metaUrl, this.top);
  }

  /** A program that must succeed; answers what it printed on stdout. */
  async run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const env = { ...this.#temp.env, LC_ALL: 'C', ...options.env };
    const outcome = await run(program, args, { timeoutMs: PROGRAM_TIMEOUT_MS, ...options, env });
    assert.equal(outcome.code, 0, `${program} ${args.join(' ')}:\n${outcome.stdout}${outcome.stderr}`);
    return outcome.stdout;
  }

  /** Unmounts; rows, objects and both clients' checks must be sound. */
  async end(): Promise<void> {
    await this.#pageseal.umount(this.top);
    await this.#pageseal.ok(['fsck', this.#metaUrl]);
    assert.deepEqual(await placeViolations(this.#place), []);
    const juicefs = new Juicefs(this.#temp);
    assert.deepEqual(await juicefs.fsck(this.#metaUrl), []);
    assert.deepEqual(await juicefs.fsckTree(this.#metaUrl), []);
  }
}
