// Carries out random orders on one or more mounts of a volume and compares every answer, and at barriers everything the
// mounts show, with the model. What differs ends the run with the seed and the last orders.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { ended } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { Generator, type GeneratorOptions } from './generator.ts';
import type { Answer, Order, Seen } from './orders.ts';
import { type ModelOptions, PosixModel } from './posix-model.ts';
import type { PosixNode } from './posix-node.ts';
import { Random } from './random.ts';

const script = fileURLToPath(new URL('client.py', import.meta.url));
/** Far above what any order takes. */
const HANG_MS = 120_000;
/** Orders shown of a run that went wrong. */
const SHOWN = 60;

export class ModelClient {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  constructor(temp: Temp, tops: readonly string[]) {
    this.#child = spawn('python3', [script, ...tops], { env: temp.env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#child.stdout);
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  async ask(order: object): Promise<Answer> {
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`no answer to ${JSON.stringify(order)}`)), HANG_MS);
    const { value, done } = await Promise.race([this.#answers.next(), late]).finally(() => clearTimeout(timer));
    if (done) throw new Error(`the client ended at ${JSON.stringify(order)}`);
    return JSON.parse(value) as Answer;
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    await ended(this.#child);
    this.#lines.close();
  }
}

export interface JudgeOptions extends ModelOptions, Omit<GeneratorOptions, 'mounts'> {
  readonly seed: number;
  readonly tops: readonly string[];
  /** Mounts whose link counts have the names in the trash. */
  readonly countTrash?: readonly number[];
  /** Differences that are known, by their text. */
  readonly known?: RegExp;
}

export class Judge {
  readonly model: PosixModel;
  readonly random: Random;
  readonly client: ModelClient;
  readonly #generator: Generator;
  readonly #options: JudgeOptions;
  readonly #log: string[] = [];
  #steps = 0;

  private constructor(client: ModelClient, root: Seen, options: JudgeOptions) {
    this.client = client;
    this.#options = options;
    this.model = new PosixModel(root, options);
    this.random = new Random(options.seed);
    this.#generator = new Generator(this.random, this.model, { ...options, mounts: options.tops.length });
  }

  /** The volume is to be empty. */
  static async begin(temp: Temp, options: JudgeOptions): Promise<Judge> {
    const client = new ModelClient(temp, options.tops);
    const { v } = await client.ask({ m: 0, op: 'stat', p: '' });
    return new Judge(client, v as Seen, options);
  }

  /** On mount `m`, or on one chosen for each order. */
  async steps(count: number, m?: number): Promise<void> {
    for (let i = 0; i < count; i++)
      await this.step(this.#generator.next(m ?? this.random.below(this.#options.tops.length)));
  }

  async step(order: Order): Promise<void> {
    const answer = await this.client.ask(order).catch((error: unknown) => this.#refuse([String(error)]));
    if (answer === undefined) return;
    this.#steps++;
    const said = JSON.stringify(answer.v)?.slice(0, 200);
    const line = `${this.#steps}: ${JSON.stringify(order)} -> ${answer.e} ${said}`;
    this.#log.push(line.replace(/([xyv])\1{5,}/g, '$1...'));
    if (this.#log.length > SHOWN) this.#log.shift();
    const expected = this.model.apply(order, BigInt(answer.t[0]), BigInt(answer.t[1]));
    const differences: string[] = [];
    if (answer.e !== expected.e) differences.push(`errno ${answer.e}, wanted ${expected.e}`);
    else if (expected.node !== undefined)
      differences.push(...expected.node.compare('', answer.v as Seen, this.#countsTrash(order.m)));
    else if (
      expected.v !== undefined &&
      answer.v !== expected.v &&
      JSON.stringify(answer.v) !== JSON.stringify(expected.v)
    )
      differences.push(`answer ${JSON.stringify(answer.v)}, wanted ${JSON.stringify(expected.v)}`);
    this.#refuse(differences);
  }

  /** Everything is synced, and every mount shows the model's tree. */
  async barrier(): Promise<void> {
    await this.client.ask({ op: 'sync' });
    this.model.synced();
    for (const m of this.#options.tops.keys()) {
      const { e, v } = await this.client.ask({ m, op: 'tree' });
      this.#log.push(`${this.#steps}: tree of mount ${m}`);
      if (e !== 0) this.#refuse([`tree of mount ${m}: ${e} ${JSON.stringify(v)}`]);
      this.#refuse(this.#compare(v as Record<string, Seen>, m).map((line) => `mount ${m}: ${line}`));
    }
  }

  #countsTrash(m: number): boolean {
    return this.#options.countTrash?.includes(m) === true;
  }

  #compare(seen: Record<string, Seen>, m: number): string[] {
    const wanted = new Map<string, PosixNode>(this.model.walk());
    const found: string[] = [];
    for (const path of Object.keys(seen)) if (!wanted.has(path)) found.push(`${path}: should not be there`);
    for (const [path, node] of wanted) {
      const is = seen[path];
      if (is === undefined) found.push(`${path}: missing`);
      else found.push(...node.compare(path, is, this.#countsTrash(m)));
    }
    return found;
  }

  #refuse(all: readonly string[]): void {
    const differences = all.filter((line) => this.#options.known?.test(line) !== true);
    if (differences.length === 0) return;
    const log = this.#log.slice(-SHOWN).join('\n');
    throw new Error(
      `seed ${this.#options.seed}, step ${this.#steps}:\n${differences.join('\n')}\nlast orders:\n${log}`,
    );
  }

  async end(): Promise<void> {
    for (const slot of [...this.model.slots.keys()]) await this.step({ op: 'drop', m: 0, slot });
    await this.client.end();
  }
}
