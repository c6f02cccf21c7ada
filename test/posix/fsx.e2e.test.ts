// fsx on the local disk as control, and on mounts: with shared mappings, on small sealed pages, and while a second mount
// reads. Afterwards every client shows the same bytes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { type FsxOptions, runFsx } from './fsx.ts';

const KiB = 1024;
const wanted = needs(...interopNeeds, 'fsx');
/** Reading along takes its time. */
const few = Math.floor(sizes.fsxOperations / 4);
const large: FsxOptions = {
  operations: sizes.fsxOperations - few,
  length: 1024 * KiB,
  largest: 128 * KiB,
  mappings: true,
};
/** Several pages of 64 KiB, and operations that seldom end where pages do. */
const small: FsxOptions = { operations: few, length: 700 * KiB, largest: 100 * KiB, mappings: false };
const passphrase = 'for fsx';

test('fsx finds nothing on the local disk', wanted, async (t) => {
  const temp = makeTemp(t);
  t.diagnostic(await runFsx(temp, temp.at('file'), large));
});

test('fsx finds nothing on a mount, with shared mappings', wanted, async (t) => {
  const temp = makeTemp(t);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const pageseal = new Pageseal(temp);
  await pageseal.formatAt(place, 'large', ['--compress', 'lz4']);
  await pageseal.mount(metaUrl, temp.folder('ours'));
  t.diagnostic(await runFsx(temp, temp.at('ours/file'), large));
  await sameForAll(temp, metaUrl, pageseal, new Juicefs(temp));
});

test('fsx finds nothing on small sealed pages while another mount reads', wanted, async (t) => {
  const temp = makeTemp(t);
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const pageseal = new Pageseal(temp, passphrase);
  const flags = ['--encrypt-rsa-key', key.file, '--compress', 'zstd', '--block-size', '64K'];
  await pageseal.formatAt(place, 'small', flags);
  await pageseal.mount(metaUrl, temp.folder('ours'));
  await pageseal.mount(metaUrl, temp.folder('second'));
  await runOk('touch', [temp.at('ours/file')]);
  const reader = startReader(temp.at('second/file'), temp);
  t.diagnostic(await runFsx(temp, temp.at('ours/file'), small));
  assert.ok((await reader.stop()) > 0, 'the other mount read');
  await pageseal.umount(temp.at('second'));
  await sameForAll(temp, metaUrl, pageseal, new Juicefs(temp, passphrase));
});

function startReader(path: string, temp: Temp) {
  const child = spawn('python3', [join(import.meta.dirname, 'read-again.py'), path], {
    env: temp.env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const rounds = text(child.stdout);
  const exit = once(child, 'exit');
  return {
    async stop(): Promise<number> {
      child.stdin.end();
      const [code] = await exit;
      assert.equal(code, 0, 'reading through the other mount failed');
      return Number(await rounds);
    },
  };
}

/** This mount, the next one, and the original client's; then both checks. */
async function sameForAll(temp: Temp, metaUrl: string, pageseal: Pageseal, juicefs: Juicefs): Promise<void> {
  const [ours, theirs] = [temp.at('ours'), temp.at('theirs')];
  const copy = temp.at('copy');
  await copyFile(join(ours, 'file'), copy);
  await pageseal.umount(ours);
  await pageseal.mount(metaUrl, ours);
  await runOk('cmp', [copy, join(ours, 'file')]);
  await pageseal.umount(ours);
  await juicefs.mount(metaUrl, theirs);
  await runOk('cmp', [copy, join(theirs, 'file')]);
  await juicefs.umount(theirs);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
}
