// What every set-up step shares: saying what is done, running a program, and one at a time between runs started at once.
// Plain JavaScript for Node 20, no dependencies.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Programs and marks of this checkout; not committed. */
export const cache = join(root, '.cache');
/** The pinned Node 26, installed by npm. */
export const node = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin/node');

export class StepFailed extends Error {}

/** Where the home folder cannot be written, what would be cached there goes into ours; settings in it still count. */
export function cacheHere() {
  try {
    accessSync(homedir(), constants.W_OK);
  } catch {
    const folder = (name) => join(cache, 'home', name);
    const { GOCACHE, GOMODCACHE, PIP_CACHE_DIR, CARGO_HOME } = process.env;
    process.env.npm_config_cache = folder('npm');
    process.env.npm_config_logs_dir = folder('npm-logs');
    process.env.GOCACHE = GOCACHE ?? folder('go-build');
    process.env.GOMODCACHE = GOMODCACHE ?? folder('go-modules');
    process.env.CARGO_HOME = CARGO_HOME ?? folder('cargo');
    process.env.PIP_CACHE_DIR = PIP_CACHE_DIR ?? folder('pip');
  }
}

export function say(text) {
  process.stdout.write(`pageseal: ${text}\n`);
}

/** Runs a program with its output shown; a failure ends the step. */
export function runProgram(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) throw new StepFailed(`${program}: ${result.error.message}`);
  if (result.status !== 0) throw new StepFailed(`${program} ${args.join(' ')}: exit ${result.status ?? result.signal}`);
}

/** Like runProgram, but answers whether it worked and shows nothing. */
export function tryProgram(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: root, encoding: 'utf8', ...options });
  return { ok: result.status === 0, output: `${result.stdout ?? ''}${result.stderr ?? ''}`.trim() };
}

const LOCK_POLL_MS = 200;
/** A build of csi-sanity from nothing takes a few minutes. */
const LOCK_WAIT_MS = 15 * 60_000;

/** Holds `.cache/NAME.lock` during `work`. The lock of a process that died is taken over. */
export function locked(name, work) {
  mkdirSync(cache, { recursive: true });
  const file = join(cache, `${name}.lock`);
  const deadline = Date.now() + LOCK_WAIT_MS;
  let told = false;
  while (!tryLock(file)) {
    if (Date.now() > deadline) throw new StepFailed(`waited too long for ${file}; remove it if nothing runs`);
    if (!told) say(`waiting for another run's ${name} step`);
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_POLL_MS);
  }
  try {
    return work();
  } finally {
    rmSync(file, { force: true });
  }
}

function tryLock(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  let holder;
  try {
    holder = Number(readFileSync(file, 'utf8'));
  } catch {
    return false; // just released
  }
  if (holder > 0 && !isAlive(holder)) rmSync(file, { force: true });
  return false;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
