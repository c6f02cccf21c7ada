// A program that answers a line for each line it is sent.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Temp } from '../harness/temp.ts';

export class Conversation {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #what: string;

  constructor(temp: Temp, program: string, args: readonly string[]) {
    this.#what = `${program} ${args.join(' ')}`;
    this.#child = spawn(program, args, { env: temp.env, stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdout, stdin } = this.#child;
    if (stdout === null || stdin === null) throw new Error(`${this.#what}: no pipes`);
    stdin.on('error', () => undefined); // that it ended is told by its silence
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    temp.beforeRemoval(async () => this.end());
  }

  /** Its next line; a program that hangs is ended. */
  async line(timeoutMs: number): Promise<string> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    try {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`${this.#what}: ended, or hung for ${timeoutMs} ms`);
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  async ask(question: string, timeoutMs: number): Promise<string> {
    this.#child.stdin?.write(`${question}\n`);
    return await this.line(timeoutMs);
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}
