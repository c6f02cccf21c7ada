// The process that is killed: kill-points-actor.ts META-URL SCENARIO prepare|steps. Says each step it has finished, with a
// call of its own, so that the line is out before the next step begins.
import { writeSync } from 'node:fs';
import { openFileSystem } from '../../src/filesystem/open.ts';
import { Files, scenarios } from './kill-points-scenarios.ts';

const [metaUrl = '', name = '', part] = process.argv.slice(2);
const scenario = scenarios[name];
if (scenario === undefined) throw new Error(`no scenario ${name}`);
const fileSystem = await openFileSystem({ metaUrl, key: { kind: 'in-metadata' }, backgroundJobs: false });
const files = new Files(fileSystem.vfs);
for (const step of part === 'prepare' ? scenario.prepare : scenario.steps) {
  await step.run(files);
  writeSync(1, 'done\n');
}
await fileSystem.close();
