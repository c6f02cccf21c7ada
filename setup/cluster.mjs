// `node setup/cluster.mjs`: what the tests' cluster needs, and for development the cluster itself: up, down, run. Plain
// JavaScript for Node 20.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAddon } from './addon.mjs';
import { buildDist } from './build.mjs';
import { makeClusterImages } from './cluster-images.mjs';
import { installClusterPrograms } from './cluster-programs.mjs';
import { installDependencies } from './dependencies.mjs';
import { buildImage } from './image.mjs';
import { cache, cacheHere, node, root, runProgram, StepFailed, say } from './step.mjs';
import { clusterFolder, installTools, toolEnvironment } from './tools.mjs';

const usage = `usage: node setup/cluster.mjs install | up [FLAG...] | down [--id ID] | run FILE...
  install   Kubernetes' programs and the images, as npm test does
  up        starts a cluster that stays; with --id ID (default dev): several at once; --bare: without
            Pageseal; --no-wait: does not wait for it to run; --mode api: etcd and an API server only
  down      ends it (--id ID)
  run       these test files on the cluster that is up, or on one of their own`;

/** Of Pageseal as it is in this checkout; under a name that no registry has. */
export const imageName = 'localhost/pageseal/pageseal:test';
export const imageFile = join(cache, 'cluster/pageseal.tar');

/** Programs and sidecars' images. What PAGESEAL_CLUSTER names is somebody else's to keep. */
export async function installCluster() {
  if (process.env.PAGESEAL_CLUSTER === undefined) await makeClusterImages(installClusterPrograms());
}

/** The image under test; made anew each time, which takes seconds. */
export async function makeImage() {
  mkdirSync(join(cache, 'cluster'), { recursive: true });
  await buildImage({ output: imageFile, name: imageName, plain: true });
}

/** What the tests' environment says of the cluster's parts. */
export function clusterEnvironment() {
  return { PAGESEAL_CLUSTER: clusterFolder, PAGESEAL_IMAGE: imageFile };
}

const commands = {
  install: installCluster,
  up,
  down,
  async run(files) {
    if (files.length === 0) throw new StepFailed(usage);
    await prepare();
    runProgram(node, ['--test', '--test-concurrency=1', ...files], { env: { ...environment(), ...existing() } });
  },
};

async function prepare(withImage = true) {
  cacheHere();
  installDependencies();
  buildAddon(say);
  buildDist();
  installTools(); // PostgreSQL and the S3 server stand beside the cluster
  await installCluster();
  if (withImage) await makeImage();
}

/** What is named from outside counts. */
const environment = () => ({ ...toolEnvironment(), ...clusterEnvironment(), ...process.env });
const recordOf = (id) => join(cache, `cluster/up-${id}.json`);
const idOf = (args) => (args.includes('--id') ? args[args.indexOf('--id') + 1] : 'dev');

/** Of the one that is up under the name of development, if there is one. */
function existing() {
  const record = recordOf(process.env.PAGESEAL_CLUSTER_ID ?? 'dev');
  return runningAt(record) !== undefined ? { PAGESEAL_TESTBED: readFileSync(record, 'utf8') } : {};
}

/** The server of the cluster stays behind, with its messages in a file. */
async function up(args) {
  const id = idOf(args);
  const record = recordOf(id);
  if (runningAt(record) !== undefined) throw new StepFailed(`cluster ${id} is up already`);
  rmSync(record, { force: true });
  await prepare(!args.includes('--bare') && !args.includes('api'));
  mkdirSync(dirname(record), { recursive: true });
  const log = `${record}.log`;
  const output = openSync(log, 'w');
  const flags = ['--stay', '--record', record, '--id', id, ...withoutId(args)];
  const child = spawn(node, [join(root, 'test/cluster/testbed/serve.ts'), ...flags], {
    detached: true,
    env: environment(),
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const ended = new Promise((done) => child.once('exit', () => done(true)));
  while (!existsSync(record))
    if (await Promise.race([ended, pause()])) throw new StepFailed(`it did not start:\n${readFileSync(log, 'utf8')}`);
  child.unref();
  const { kubeconfig } = JSON.parse(readFileSync(record, 'utf8'));
  say(`cluster ${id} is up: export KUBECONFIG=${kubeconfig} PATH=${join(clusterFolder, 'bin')}:$PATH`);
}

async function down(args) {
  const record = recordOf(idOf(args));
  const server = runningAt(record);
  if (server === undefined) throw new StepFailed(`no cluster ${idOf(args)} is up`);
  process.kill(server, 'SIGTERM');
  while (isServer(server)) await pause();
  rmSync(record, { force: true });
  say('the cluster is down');
}

/** The process that holds the cluster of a record; undefined: there is none. */
function runningAt(record) {
  if (!existsSync(record)) return undefined;
  const { server } = JSON.parse(readFileSync(record, 'utf8'));
  return isServer(server) ? server : undefined;
}

/** Another process may have its number by now. */
function isServer(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('testbed/serve.ts');
  } catch {
    return false;
  }
}

const POLL_MS = 100;
const pause = () => new Promise((done) => setTimeout(() => done(false), POLL_MS));
const withoutId = (args) => args.filter((arg, index) => arg !== '--id' && args[index - 1] !== '--id');

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [name, ...args] = process.argv.slice(2);
  try {
    if (commands[name] === undefined) throw new StepFailed(usage);
    await commands[name](args);
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    process.stderr.write(`pageseal: ${error.message}\n`);
    process.exitCode = 1;
  }
}
