// A process that locks: lock.py, one line to it and one back.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ended } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';

const program = fileURLToPath(new URL('lock.py', import.meta.url));
/** For hangs only. */
const ANSWER_MS = 60_000;

export class Locker {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #rest = '';
  #more: () => void = () => undefined;
  /** Of the process. */
  pid = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      this.#lines.push(...lines);
      this.#more();
    });
  }

  static async start(temp: Temp): Promise<Locker> {
    const child = spawn('python3', [program], { env: temp.env, stdio: ['pipe', 'pipe', 'inherit'] });
    const locker = new Locker(child);
    locker.pid = Number((await locker.hear()).split(' ')[1]);
    return locker;
  }

  /** What it says next. */
  async hear(): Promise<string> {
    const deadline = Date.now() + ANSWER_MS;
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      if (Date.now() > deadline) throw new Error('the locking process does not answer');
      await new Promise<void>((resolve) => {
        this.#more = resolve;
        setTimeout(resolve, ANSWER_MS).unref();
      });
    }
  }

  get silent(): boolean {
    return this.#lines.length === 0;
  }

  async tell(command: string): Promise<string> {
    this.#child.stdin?.write(`${command}\n`);
    return this.hear();
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    await ended(this.#child);
  }
}
