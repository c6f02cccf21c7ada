// What a test run left on the machine: mounts, processes (and the namespaces they hold), temporary folders. Looks at the
// whole machine, takes away only what belongs to the run.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './step.mjs';

/** What is ending when the tests end gets this long; then it counts as left behind. */
const GRACE_MS = 5000;
const POLL_MS = 100;
const pause = () => new Promise((resolve) => setTimeout(resolve, POLL_MS));
/** What this project and the original client mount. */
const TESTED_TYPES = new Set(['fuse.pageseal', 'fuse.juicefs']);

export class Leftovers {
  #folder;
  #mark;
  #mountsBefore = new Set(mountEntries().map(({ path }) => path));
  #processesBefore = new Set(processIds());
  #clustersBefore = new Set(clusterFolders());

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
        ...this.#records().map((file) => `file ${file}`),
        ...this.#ofClusters().map((path) => `folder ${path}`),
      ];
      if (left.length === 0 || Date.now() > deadline) return left;
      await pause();
    }
  }

  /** Takes the run's own things away: processes, then mounts from the inside out, then the folder. */
  async remove() {
    const killed = this.#processes();
    for (const pid of killed) kill(pid);
    // A killed process holds its mounts and files until it has ended; one that is stuck in the kernel may never.
    const deadline = Date.now() + GRACE_MS;
    while (killed.some(isRunning) && Date.now() < deadline) await pause();
    for (const path of this.#mounts().reverse()) spawnSync('umount', ['-l', path], { stdio: 'ignore' });
    for (const file of this.#records()) rmSync(file, { force: true });
    for (const path of this.#ofClusters()) if (path.startsWith(CONTROL_GROUPS)) removeControlGroup(path);
    if (this.#mounts().every((path) => !path.startsWith(this.#folder)))
      rmSync(this.#folder, { recursive: true, force: true });
  }

  /**
   * Temporary folders of others are theirs: our tests have a TMPDIR of their own. Elsewhere only what tests mount: a
   * container or a disk may appear during a run.
   */
  #mounts() {
    return mountEntries()
      .filter(
        ({ path, type }) =>
          path.startsWith(`${this.#folder}/`) ||
          (TESTED_TYPES.has(type) && !this.#mountsBefore.has(path) && !path.startsWith(`${tmpdir()}/`)),
      )
      .map(({ path }) => path);
  }

  /** What stands outside the folder and names it: records of mounts, sockets' folders. */
  #records() {
    const folders = list('/run')
      .filter((name) => name.startsWith('pageseal'))
      .map((name) => join('/run', name));
    return folders.flatMap((folder) =>
      list(folder)
        .map((name) => join(folder, name))
        .filter((file) => file.endsWith('.json') && read(file).includes(`"${this.#folder}/`)),
    );
  }

  /** What only a cluster makes, outside its namespaces: control groups; and what it would make if it left them. */
  #ofClusters() {
    return clusterFolders().filter((path) => !this.#clustersBefore.has(path));
  }

  /**
   * By mark, by the run's folder on the command line or behind the output, or a program of this checkout that nobody
   * answers for: workers and keepers of background mounts get almost no environment.
   */
  #processes() {
    const fresh = processIds().filter((pid) => !this.#processesBefore.has(pid));
    const ours = new Set(processesNaming(fresh, [`PAGESEAL_TEST_RUN=${this.#mark}`, this.#folder]));
    const ofCheckout = fresh.filter((pid) => !ours.has(pid) && isOfCheckout(link(`/proc/${pid}/exe`)));
    const withHome = new Set(processesNaming(ofCheckout, ['HOME=', 'PAGESEAL_TEST_RUN=']));
    const nameless = ofCheckout.filter((pid) => !withHome.has(pid));
    return [...ours, ...nameless.filter((pid) => this.#writesHere(pid) ?? !hasParentOfCheckout(pid))];
  }

  /** Undefined: its output is no file. */
  #writesHere(pid) {
    const outputs = [1, 2].map((fd) => link(`/proc/${pid}/fd/${fd}`)).filter((file) => file.startsWith('/'));
    const files = outputs.filter((file) => !file.startsWith('/dev/'));
    return files.length === 0 ? undefined : files.some((file) => file.startsWith(`${this.#folder}/`));
  }
}

/** Below which a test's kubelet makes those of its pods, in each hierarchy. */
const CONTROL_GROUPS = '/sys/fs/cgroup';
/** By the ids of clusters that a run or a test file starts. */
const OF_TESTS = /^pageseal-(run|file)-/;

function controlGroups() {
  const roots = ['', ...list(CONTROL_GROUPS)].map((name) => join(CONTROL_GROUPS, name));
  return roots.flatMap((folder) =>
    list(folder)
      .filter((name) => OF_TESTS.test(name))
      .map((name) => join(folder, name)),
  );
}

function clusterFolders() {
  const namespaces = list('/run/netns').map((name) => join('/run/netns', name));
  const folders = ['/run/containerd', '/run/pageseal', '/var/lib/cni', '/var/lib/kubelet'].filter((path) =>
    existsSync(path),
  );
  return [...controlGroups(), ...namespaces, ...folders];
}

/** One whose processes live on stays. */
function removeControlGroup(folder) {
  const inside = list(folder).map((name) => join(folder, name));
  for (const path of inside) if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) removeControlGroup(path);
  try {
    rmdirSync(folder);
  } catch {
    // in use
  }
}

function hasParentOfCheckout(pid) {
  const parent = /^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1];
  return parent !== undefined && isOfCheckout(link(`/proc/${parent}/exe`));
}

const isOfCheckout = (program) => program.startsWith(`${root}/node_modules/`) || program.startsWith(`${root}/.cache/`);

/** Exit codes of `timeout` from here on mean that it had to end the program. */
const KILLED = 124;

/**
 * Those that have one of the texts in their environment or on their command line. A process that is stuck while it
 * starts blocks who reads these files, so another program does, which can be killed.
 */
function processesNaming(pids, texts) {
  if (pids.length === 0) return [];
  const look = (some) => {
    const files = some.flatMap((pid) => [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`]);
    // The texts come by stdin: on the command line they would find themselves.
    const args = ['-s', 'KILL', '5', 'grep', '--text', '-lsF', '-f', '-', ...files];
    const { stdout, status } = spawnSync('timeout', args, { input: texts.join('\n'), encoding: 'utf8' });
    return { found: stdout.match(/(?<=\/proc\/)\d+/g) ?? [], blocked: status === null || status >= KILLED };
  };
  const all = look(pids);
  const found = all.blocked ? pids.flatMap((pid) => look([pid]).found) : all.found;
  return [...new Set(found)].map(Number);
}

function mountEntries() {
  return read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({
      path: (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
      type: line.split(' - ')[1]?.split(' ')[0] ?? '',
    }));
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

function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
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
