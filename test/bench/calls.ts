// The calls whose round trips are counted: `calls.ts CALL FOLDER COUNT` prepares, says so, and on a line of input makes COUNT
// calls and prints the seconds they took.
import { closeSync, mkdirSync, openSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The kernel believes names for a second. */
const EXPIRY_MS = 1300;
const DATA = Buffer.alloc(4096, 'pageseal ');

/** Answers the call on one of the files. */
type Call = (files: readonly string[]) => (file: string, i: number) => void;

const create: Call = () => (file) => closeSync(openSync(file, 'wx'));

const calls: Readonly<Record<string, Call>> = {
  create,
  lookup: () => (file) => void statSync(file),
  'write+close': (files) => {
    const open = files.map((file) => openSync(file, 'r+'));
    return (_, i) => {
      writeSync(open[i] ?? -1, DATA);
      closeSync(open[i] ?? -1);
    };
  },
  rename: () => (file) => renameSync(file, `${file}-renamed`),
  unlink: () => (file) => unlinkSync(`${file}-renamed`),
};

const [name = '', folder = '', count = ''] = process.argv.slice(2);
const prepare = calls[name];
if (prepare === undefined) throw new Error(`no call ${name}`);
mkdirSync(folder, { recursive: true });
const files = Array.from({ length: Number(count) }, (_, i) => join(folder, `file-${String(i).padStart(5, '0')}`));
const call = prepare(files);
await sleep(EXPIRY_MS);
console.log('ready');
process.stdin.once('data', () => {
  const start = performance.now();
  files.forEach(call);
  console.log((performance.now() - start) / 1000);
  process.exit();
});
