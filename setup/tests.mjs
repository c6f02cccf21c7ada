// The static checks and the test run. Tests get a temporary folder and a mark of their own, so that whatever they leave
// behind (mount, process, folder) is found, named, taken away, and fails the run.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterEnvironment } from './cluster.mjs';
import { Leftovers } from './leftovers.mjs';
import { cache, node, root, runProgram, StepFailed, say } from './step.mjs';
import { toolEnvironment } from './tools.mjs';

/** A file that takes longer is stuck; the long sizes take hours in all. */
const FILE_TIMEOUT_MS = { short: 10 * 60_000, long: 4 * 3_600_000 };
/** Whole-system tests hold mounts and processes of several kinds; more at once only makes them slower. */
const MOST_AT_ONCE = 3;
/** Some of them mostly wait: for a lock's minute, for the end of an outage. */
const BESIDE_WAITING = 1;
/** The last of a flag counts. A cluster and its parts are shared: some tests end them. */
const ONE_AT_ONCE = '--test-concurrency=1';
const clusterLogs = join(cache, 'cluster/logs');

/** quick: in `npm run check`. whole: need root, mounts or the tools, or take longer. cluster: need a Kubernetes. */
export function testFiles() {
  const all = readdirSync(join(root, 'test'), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', name))
    .sort();
  const slow = all.filter((name) => name.endsWith('.e2e.test.ts'));
  return {
    quick: all.filter((name) => !name.endsWith('.e2e.test.ts')),
    whole: slow.filter((name) => !isOnCluster(name)),
    cluster: slow.filter(isOnCluster),
  };
}

const isOnCluster = (name) => name.startsWith('test/cluster/');

export function checkStatic() {
  say('checking format and lint (biome)');
  runProgram(join(root, 'node_modules/.bin/biome'), ['check', '--error-on-warnings'], { env: withNode() });
  say('checking types (tsc)');
  runProgram(node, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit']);
}

/**
 * Answers the exit code. `scaled` run once more, against PostgreSQL and S3; `cluster` one after the other, on one Kubernetes.
 * The runner's own closing lines come last, except where something was left behind.
 */
export async function runTests({ files, scaled = [], cluster = [], long }) {
  const folder = mkdtempSync(join(tmpdir(), 'pageseal-'));
  chmodSync(folder, 0o711); // as passable as /tmp: some tests act as other users
  const mark = randomBytes(8).toString('hex');
  const leftovers = new Leftovers(folder, mark);
  const args = [
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${Math.min(MOST_AT_ONCE, availableParallelism() + BESIDE_WAITING)}`,
    `--test-timeout=${long ? FILE_TIMEOUT_MS.long : FILE_TIMEOUT_MS.short}`,
  ];
  const size = long ? ' at their long sizes' : '';
  const env = {
    ...withNode(),
    ...toolEnvironment(),
    ...(cluster.length > 0 && clusterEnvironment()),
    TMPDIR: folder,
    PAGESEAL_TEST_RUN: mark,
    ...(long && { PAGESEAL_LONG: '1' }),
  };
  const signals = new AbortController();
  try {
    say(`running ${files.length} test files${size}`);
    let code = await runToEnd([...args, ...files], env, signals);
    if (scaled.length > 0 && !signals.signal.aborted) {
      say(`running ${scaled.length} of them${size} on PostgreSQL and S3`);
      code = (await runScaled([...args, ...scaled], env, signals)) || code;
    }
    if (cluster.length > 0 && !signals.signal.aborted) {
      say(`running ${cluster.length} test files${size} on a cluster`);
      code = (await runOnCluster([...args, ONE_AT_ONCE, ...cluster], env, signals)) || code;
    }
    const left = await leftovers.find();
    if (left.length === 0) return signals.signal.aborted ? 1 : code;
    process.stderr.write(`\npageseal: the tests left behind:\n${left.map((line) => `  ${line}\n`).join('')}`);
    return 1;
  } finally {
    await leftovers.remove();
    restoreSignals();
  }
}

/** With servers for the whole pass: they are started and ended once, and each test has a database and a bucket of its own. */
function runScaled(args, env, signals) {
  return beside(['test/harness/servers.ts'], env, (described) => {
    const { authority } = JSON.parse(described);
    const own = { PAGESEAL_BACKEND: 'scaled', PAGESEAL_SERVERS: described, SSL_CERT_FILE: authority };
    return runToEnd(args, { ...env, ...own }, signals);
  });
}

/** With Pageseal installed; each test has namespaces of its own. What the components logged is kept. */
function runOnCluster(args, env, signals) {
  rmSync(clusterLogs, { recursive: true, force: true });
  return beside(['test/cluster/testbed/serve.ts', '--keep-logs', clusterLogs], env, async (described) => {
    const code = await runToEnd(args, { ...env, PAGESEAL_TESTBED: described }, signals);
    if (code !== 0) say(`logs of the cluster's components and of all pods: ${clusterLogs}`);
    return code;
  });
}

/** While a program runs that says in its first line what it serves, and that ends with its input. */
async function beside([program, ...flags], env, work) {
  const server = spawn(node, [join(root, program), ...flags], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    return await work(await firstLine(server.stdout, ended));
  } finally {
    server.stdin.end();
    await ended;
  }
}

async function firstLine(stream, ended) {
  let text = '';
  stream.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  const line = new Promise((resolve) => stream.on('data', () => text.includes('\n') && resolve()));
  await Promise.race([line, ended]);
  if (!text.includes('\n')) throw new StepFailed('the servers or the cluster of the tests did not start');
  return text.split('\n')[0];
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
