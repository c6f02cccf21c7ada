// Runs programs without blocking the test's own event loop (which may be serving what the program talks to).
import { type ChildProcess, spawn } from 'node:child_process';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly input?: string;
  /** The program is killed then; the outcome has code 124. */
  readonly timeoutMs?: number;
}

/** Longer than any program of a test takes; a hang ends here and not with the file. */
const DEFAULT_TIMEOUT_MS = 120_000;
const TIMEOUT_CODE = 124;
/** After its end, for what is still in the pipes: this process may be busy. Unless the program left one that holds them. */
const DRAIN_MS = 200;

/** Runs to the end; a failure is an outcome, not an error. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: options.env ?? process.env,
      cwd: options.cwd,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const out = { stdout: '', stderr: '' };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (out.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (out.stderr += text));
    // One that ends without reading is no error.
    child.stdin?.on('error', () => undefined).end(options.input);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const finish = (code: number): void => {
      clearTimeout(timer);
      // A background process that keeps our pipes open must not keep the test waiting.
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({ code, ...out });
    };
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code) => finish(late ? TIMEOUT_CODE : (code ?? 128)));
    child.on('exit', (code) =>
      setTimeout(() => setImmediate(() => finish(late ? TIMEOUT_CODE : (code ?? 128))), DRAIN_MS),
    );
  });
}

/** Runs to the end; anything but exit code 0 is an error that shows what the program said. */
export async function runOk(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const outcome = await run(program, args, options);
  if (outcome.code !== 0)
    throw new Error(`${program} ${args.join(' ')}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
  return outcome.stdout;
}

/** Resolves when the child is gone. */
export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

const POLL_MS = 25;

/** Waits until `condition` holds; the bound is there for a hang, not for speed. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  boundMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + boundMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${boundMs} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
