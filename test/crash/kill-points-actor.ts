// The process that is killed: kill-points-actor.ts META-URL SCENARIO prepare|ACT. Says each step it has finished, with a
// call of its own, so that the line is out before the next step begins.
import { writeSync } from 'node:fs';
import { compactVolume } from '../../src/filesystem/compact.ts';
import { collectGarbage } from '../../src/filesystem/gc/gc.ts';
import { openFileSystem, openVolume } from '../../src/filesystem/open.ts';
import { openKeyless } from '../../src/filesystem/without-key.ts';
import { Files, type Scenario, type Step, scenarios } from './kill-points-scenarios.ts';

const [metaUrl = '', name = '', act = ''] = process.argv.slice(2);
const key = { kind: 'in-metadata' } as const;

const acts: Readonly<Record<string, (scenario: Scenario) => Promise<void>>> = {
  prepare: ({ prepare }) => run(prepare),
  steps: ({ steps }) => run(steps),
  compact: async () => {
    const volume = await openVolume({ metaUrl, key, backgroundJobs: false });
    await compactVolume({ volume });
    await volume.close();
  },
  gc: async () => {
    await collectGarbage({ metaUrl, delete: true, olderThanSeconds: 0 });
  },
  'empty the trash': async () => {
    const volume = await openKeyless(metaUrl);
    await volume.meta.emptyTrash(Number.POSITIVE_INFINITY);
    await volume.close();
  },
};

async function run(steps: readonly Step[]): Promise<void> {
  const fileSystem = await openFileSystem({ metaUrl, key, backgroundJobs: false });
  const files = new Files(fileSystem.vfs, metaUrl);
  for (const step of steps) {
    await step.run(files);
    writeSync(1, 'done\n');
  }
  await fileSystem.close();
}

const scenario = scenarios[name];
if (scenario === undefined) throw new Error(`no scenario ${name}`);
await acts[act]?.(scenario);
