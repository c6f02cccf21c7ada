// The static checks and the test run. Tests get a temporary folder and a mark of their own, so that whatever they leave
// behind (mount, process, folder) is found, named, taken away, and fails the run.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Leftovers } from './leftovers.mjs';
import { node, root, runProgram, say } from './step.mjs';
import { toolEnvironment } from './tools.mjs';

/** A file that takes longer is stuck; the long sizes take hours in all. */
const FILE_TIMEOUT_MS = { short: 10 * 60_000, long: 4 * 3_600_000 };
/** Whole-system tests hold mounts and processes of several kinds; more at once only makes them slower. */
const MOST_AT_ONCE = 2;

/** quick: in `npm run check`. whole: need root, mounts or the tools, or take longer. */
export function testFiles() {
  const all = readdirSync(join(root, 'test'), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', name))
    .sort();
  return {
    quick: all.filter((name) => !name.endsWith('.e2e.test.ts')),
    whole: all.filter((name) => name.endsWith('.e2e.test.ts')),
  };
}

export function checkStatic() {
  say('checking format and lint (biome)');
  runProgram(join(root, 'node_modules/.bin/biome'), ['check', '--error-on-warnings'], { env: withNode() });
  say('checking types (tsc)');
  runProgram(node, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit']);
}

/** Answers the exit code. The runner's own closing lines come last, except where something was left behind. */
export async function runTests({ files, long }) {
  const folder = mkdtempSync(join(tmpdir(), 'pageseal-'));
  chmodSync(folder, 0o711); // as passable as /tmp: some tests act as other users
  const mark = randomBytes(8).toString('hex');
  const leftovers = new Leftovers(folder, mark);
  say(`running ${files.length} test files${long ? ' at their long sizes' : ''}`);
  const args = [
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${Math.min(MOST_AT_ONCE, availableParallelism())}`,
    `--test-timeout=${long ? FILE_TIMEOUT_MS.long : FILE_TIMEOUT_MS.short}`,
    ...files,
  ];
  const env = {
    ...withNode(),
    ...toolEnvironment(),
    TMPDIR: folder,
    PAGESEAL_TEST_RUN: mark,
    ...(long && { PAGESEAL_LONG: '1' }),
  };
  const signals = new AbortController();
  try {
    const code = await runToEnd(args, env, signals);
    const left = await leftovers.find();
    if (left.length === 0) return signals.signal.aborted ? 1 : code;
    process.stderr.write(`\npageseal: the tests left behind:\n${left.map((line) => `  ${line}\n`).join('')}`);
    return 1;
  } finally {
    leftovers.remove();
    restoreSignals();
  }
}

/** The pinned Node first on the PATH: for programs that start `node` by name. */
function withNode() {
  const env = { ...process.env, PATH: `${join(node, '..')}:${process.env.PATH}` };
  delete env.NODE_OPTIONS;
  return env;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

function restoreSignals() {
  for (const name of SIGNALS) process.removeAllListeners(name);
}

/** Signals reach the child; this process stays to take away what is left, however often it is told to end. */
function runToEnd(args, env, interrupted) {
  return new Promise((resolve) => {
    const child = spawn(node, args, { cwd: root, env, stdio: 'inherit' });
    for (const name of SIGNALS)
      process.on(name, () => {
        interrupted.abort();
        child.kill(name);
      });
    child.on('error', () => resolve(1));
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
