// A program: starts a cluster, prints one line that describes it, and ends it with its input (or at a signal). Flags:
// --id ID (several clusters at once), --mode api|node, --bare (without Pageseal), --no-wait (for Pageseal to run), --stay (not
// with its input), --record FILE (what it prints, too), --keep-logs FOLDER.
import { renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { start } from './start.ts';
import type { Mode } from './testbed.ts';

const { values } = parseArgs({
  options: {
    id: { type: 'string', default: `run-${process.pid}` },
    mode: { type: 'string', default: 'node' },
    bare: { type: 'boolean', default: false },
    'no-wait': { type: 'boolean', default: false },
    stay: { type: 'boolean', default: false },
    record: { type: 'string' },
    'keep-logs': { type: 'string' },
  },
});

const ending = new Promise<void>((resolve) => {
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => resolve());
  if (!values.stay)
    process.stdin
      .resume()
      .once('end', () => resolve())
      .once('error', () => resolve());
});

const keepLogs = values['keep-logs'];
const { id, bare, 'no-wait': noWait } = values;
const mode = modeOf(values.mode);
const { testbed, described } = await start({ id, mode, bare, noWait, ...(keepLogs !== undefined && { keepLogs }) });
const line = JSON.stringify({ ...described, server: process.pid });
if (values.record !== undefined) {
  writeFileSync(`${values.record}.new`, line);
  renameSync(`${values.record}.new`, values.record);
}
process.stdout.write(`${line}\n`);
const alive = setInterval(() => undefined, 1 << 30); // nothing else keeps a process that stays
await ending;
clearInterval(alive);
await testbed.stop();

function modeOf(text: string): Mode {
  if (text === 'api' || text === 'node') return text;
  throw new Error(`--mode: wanted api or node, found ${text}`);
}
