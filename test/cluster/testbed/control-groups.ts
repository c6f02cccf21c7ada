// The control group below which the kubelet makes those of pods: made in every hierarchy of version 1 or in the one of
// version 2, and removed with all below it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../harness/program.ts';

const ROOT = '/sys/fs/cgroup';

const hierarchies = (): string[] =>
  [ROOT, ...readdirSync(ROOT).map((name) => join(ROOT, name))].filter((folder) =>
    existsSync(join(folder, 'cgroup.procs')),
  );

export function makeControlGroup(name: string): void {
  for (const hierarchy of hierarchies()) {
    const folder = join(hierarchy, name);
    mkdirSync(folder, { recursive: true });
    // Version 1: without processors and memory of its own, no process may enter it.
    for (const setting of ['cpuset.cpus', 'cpuset.mems'])
      if (existsSync(join(hierarchy, setting)) && !existsSync(join(hierarchy, 'cgroup.controllers')))
        writeFileSync(join(folder, setting), readFileSync(join(hierarchy, setting)));
  }
}

/** The processes in it have ended; the kernel lets go of the last a moment later. */
export async function removeControlGroup(name: string): Promise<void> {
  await until(`the control groups of ${name} to go`, () => {
    for (const hierarchy of hierarchies()) remove(join(hierarchy, name));
    return hierarchies().every((hierarchy) => !existsSync(join(hierarchy, name)));
  });
}

function remove(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) remove(join(folder, entry.name));
  try {
    rmdirSync(folder);
  } catch {
    // still in use: the next look
  }
}
