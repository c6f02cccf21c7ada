// What a test run left on the machine: mounts, processes (and the namespaces they hold), temporary folders. Looks at the
// whole machine, takes away only what belongs to the run.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './step.mjs';

/** What is ending when the tests end gets this long; then it counts as left behind. */
const GRACE_MS = 5000;
const POLL_MS = 100;

export class Leftovers {
  #folder;
  #mark;
  #mountsBefore = new Set(mountPoints());
  #processesBefore = new Set(processIds());

  /** `folder`: the run's TMPDIR. `mark`: the value of PAGESEAL_TEST_RUN in its processes' environment. */
  constructor(folder, mark) {
    this.#folder = folder;
    this.#mark = mark;
  }

  /** Lines that name what is left; empty is what is wanted. */
  async find() {
    const deadline = Date.now() + GRACE_MS;
    for (;;) {
      const left = [
        ...this.#mounts().map((path) => `mount ${path}`),
        ...this.#processes().map(describe),
        ...readdirSync(this.#folder).map((name) => `folder ${join(this.#folder, name)}`),
      ];
      if (left.length === 0 || Date.now() > deadline) return left;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Takes the run's own things away: processes, then mounts from the inside out, then the folder. */
  remove() {
    for (const pid of this.#processes()) kill(pid);
    for (const path of this.#mounts().reverse()) spawnSync('umount', ['-l', path], { stdio: 'ignore' });
    if (this.#mounts().every((path) => !path.startsWith(this.#folder)))
      rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Temporary folders of others are theirs: our tests have a TMPDIR of their own. */
  #mounts() {
    return mountPoints().filter(
      (path) =>
        path.startsWith(`${this.#folder}/`) || (!this.#mountsBefore.has(path) && !path.startsWith(`${tmpdir()}/`)),
    );
  }

  #processes() {
    return processIds().filter((pid) => !this.#processesBefore.has(pid) && this.#isOurs(pid));
  }

  /**
   * By mark, by the run's folder on the command line, or by a program of this checkout without the environment
   * that a shell or another run gives (workers get almost none).
   */
  #isOurs(pid) {
    const environment = read(`/proc/${pid}/environ`);
    if (environment.includes(`PAGESEAL_TEST_RUN=${this.#mark}`)) return true;
    if (read(`/proc/${pid}/cmdline`).includes(this.#folder)) return true;
    const program = link(`/proc/${pid}/exe`);
    const ofCheckout = program.startsWith(`${root}/node_modules/`) || program.startsWith(`${root}/.cache/`);
    return ofCheckout && !environment.includes('PATH=');
  }
}

function mountPoints() {
  return read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
    );
}

function processIds() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => Number(name))
    .filter((pid) => isRunning(pid));
}

/** Zombies are their parent's to reap and hold nothing. */
function isRunning(pid) {
  const state = /^State:\s+(\S)/m.exec(read(`/proc/${pid}/status`))?.[1];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

function describe(pid) {
  const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
  const own = ['pid', 'mnt', 'net', 'user'].filter(
    (kind) => link(`/proc/${pid}/ns/${kind}`) !== link(`/proc/self/ns/${kind}`),
  );
  return `process ${pid} (${command})${own.length > 0 ? ` in its own ${own.join(', ')} namespace` : ''}`;
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function link(file) {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
