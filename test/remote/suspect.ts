// What a user meets when a server is not who it should be: our command line, what it says, and that it says no secret.
import assert from 'node:assert/strict';
import { pagesealProgram } from '../harness/pageseal.ts';
import { type Outcome, run } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { Canaries } from '../security/canaries.ts';

/** Refused by a rule. */
export const REFUSED = 8;

export class Suspect {
  readonly #temp: Temp;
  readonly #secrets: Readonly<Record<string, string>>;
  readonly #env: NodeJS.ProcessEnv;

  /** `env` has the secrets, so that no command line does. */
  constructor(temp: Temp, env: NodeJS.ProcessEnv, secrets: Readonly<Record<string, string>>) {
    this.#temp = temp;
    this.#secrets = secrets;
    this.#env = env;
  }

  async run(args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const env = { ...this.#temp.env, ...this.#env, ...more };
    const outcome = await run(pagesealProgram, args, { env, input: '' });
    const canaries = new Canaries();
    for (const [what, text] of Object.entries(this.#secrets)) canaries.addText(what, text);
    assert.deepEqual(canaries.findIn(Buffer.from(outcome.stdout + outcome.stderr)), [], 'no secret in what it says');
    return outcome;
  }

  async ok(args: readonly string[]): Promise<void> {
    const { code, stderr } = await this.run(args);
    assert.equal(code, 0, stderr);
  }

  /** Refused, in words that name all of these. */
  async refuses(args: readonly string[], words: readonly RegExp[], more: NodeJS.ProcessEnv = {}): Promise<void> {
    const { code, stderr } = await this.run(args, more);
    assert.equal(code, REFUSED, `pageseal ${args[0]}: exit ${code}\n${stderr}`);
    for (const word of words) assert.match(stderr, word, `pageseal ${args[0]}`);
  }
}
