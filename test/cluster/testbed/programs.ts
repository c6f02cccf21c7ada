// Where the cluster's programs and images are, and how one of its components is started: with a log of its own, ended by
// the kernel when this process is gone, whatever the reason.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterFolder, clusterPrograms, root } from '../../harness/tools.ts';

export const imageFolder = join(clusterFolder, 'images');
/** The image under test, as `node setup/cluster.mjs` makes it. */
export const pagesealArchive = process.env['PAGESEAL_IMAGE'] ?? join(root, '.cache/cluster/pageseal.tar');
export const pagesealImage = 'localhost/pageseal/pageseal:test';
export const busyboxImage = 'docker.io/library/busybox:1.37';
export const pauseImage = 'localhost/pageseal/pause:test';

export const programPath = (name: string): string => join(clusterPrograms, name);

export interface Component {
  readonly name: string;
  readonly child: ChildProcess;
  readonly log: string;
}

export interface Start {
  readonly name: string;
  readonly logs: string;
  readonly env: NodeJS.ProcessEnv;
  readonly command: readonly string[];
}

/** PR_SET_PDEATHSIG survives exec: a test run that is killed takes its cluster along. */
const WITH_US = ['setpriv', '--pdeathsig', 'KILL', '--'];

export function startComponent({ name, logs, env, command }: Start): Component {
  const log = join(logs, `${name}.log`);
  const output = openSync(log, 'a');
  const [program = '', ...args] = [...WITH_US, ...command];
  // A process group of its own: Ctrl-C is for us, who end it in order.
  const child = spawn(program, args, { env, detached: true, stdio: ['ignore', output, output] });
  closeSync(output);
  child.on('error', () => undefined); // seen by who waits for it
  child.unref();
  return { name, child, log };
}

/** For who waits for a component: nothing comes of one that has ended. */
export function mustRun({ name, child, log }: Component): void {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) return;
  throw new Error(`${name} has ended:\n${lastLines(readFileSync(log, 'utf8'))}`);
}

const LINES_SHOWN = 20;

export const lastLines = (text: string, count = LINES_SHOWN): string =>
  text.trimEnd().split('\n').slice(-count).join('\n');
