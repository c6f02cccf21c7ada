// A store or a metadata disk that is full: the writer is told ENOSPC by fsync or close, what was there stays readable, and
// with space again the same mount goes on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { AttackedVolume } from './attacked-volume.ts';

const PASSPHRASE = 'the passphrase';
const MiB = 1 << 20;
/** More than fits beside the ballast; and the ballast, which is taken away to make room. */
const TOO_MUCH = 6 * MiB;
const BALLAST = 3 * MiB;

describe('a full disk', needs('root', 'fuse', 'openssl', 'the addon'), () => {
  const temp = makeTemp();
  const kept = randomBytes(300_000);
  let key: TestKey;

  before(async () => {
    key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
  });

  /** A volume that is mounted and has a file, with a part of it on a small disk. */
  async function made(id: string, small: 'store' | 'metadata', size: number): Promise<AttackedVolume> {
    const volume = new AttackedVolume(temp, id, key, '--rsa-key');
    const folder = temp.at(small === 'store' ? `${id}-objects` : `${id}-meta`);
    await runOk('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
    await volume.format();
    await volume.mount();
    writeFileSync(volume.path('kept'), kept);
    return volume;
  }

  test('the store: fsync says ENOSPC, nothing earlier is lost, and it goes on when there is room', async () => {
    const volume = await made('store', 'store', 5 * MiB);
    const ballast = `${volume.bucket}ballast`;
    writeFileSync(ballast, Buffer.alloc(BALLAST));
    const worker = await volume.worker();

    const file = await open(volume.path('large'), 'w');
    const failed = await outcome(async () => {
      for (let written = 0; written < TOO_MUCH; written += MiB) await file.write(randomBytes(MiB));
      await file.sync();
    });
    assert.equal(failed, 'ENOSPC');
    await outcome(() => file.close());
    assert.equal(await outcome(() => writeSynced(volume.path('more'), randomBytes(2 * MiB))), 'ENOSPC');
    assert((await readFile(volume.path('kept'))).equals(kept));
    // Directories need no object.
    writeFileSync(volume.path('empty'), '');
    assert.match(volume.log(), /no space left in file:\/\//);

    rmSync(ballast);
    for (const name of ['large', 'more']) rmSync(volume.path(name));
    const bytes = randomBytes(2 * MiB);
    assert.equal(await outcome(() => writeSynced(volume.path('after'), bytes)), 'done');
    assert.equal(await volume.worker(), worker);
    await volume.umount();
    await volume.mount();
    assert(readFileSync(volume.path('after')).equals(bytes));
    assert(readFileSync(volume.path('kept')).equals(kept));
    await volume.umount();
    assert.match(await volume.pageseal.ok(['fsck', '--deep', volume.metaUrl, ...volume.keyFlags]), /nothing is wrong/);
  });

  test('the metadata: every change says ENOSPC, reading goes on, and so does writing with room', async () => {
    const volume = await made('metadata', 'metadata', 8 * MiB);
    const ballast = temp.at('metadata-meta/ballast');
    fill(ballast);
    const worker = await volume.worker();

    const told = new Set<string>();
    for (let at = 0; at < 2000 && !told.has('ENOSPC'); at++)
      told.add(await outcome(() => writeSynced(volume.path(`file-${at}`), Buffer.from('x'))));
    assert(told.has('ENOSPC'), [...told].join());
    assert.deepEqual(
      [...told].filter((each) => each !== 'ENOSPC' && each !== 'done'),
      [],
    );
    assert((await readFile(volume.path('kept'))).equals(kept));

    rmSync(ballast);
    assert.equal(await outcome(() => writeSynced(volume.path('after'), kept)), 'done');
    assert.equal(await volume.worker(), worker);
    await volume.umount();
    await volume.mount();
    assert(readFileSync(volume.path('after')).equals(kept));
    await volume.umount();
    assert.match(await volume.pageseal.ok(['fsck', '--deep', volume.metaUrl, ...volume.keyFlags]), /nothing is wrong/);
  });
});

/** Writes until nothing more fits. */
function fill(file: string): void {
  try {
    for (;;) writeFileSync(file, Buffer.alloc(4096), { flag: 'a' });
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
}

async function writeSynced(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.write(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

const outcome = (work: () => Promise<unknown>): Promise<string> =>
  work().then(
    () => 'done',
    (error: NodeJS.ErrnoException) => error.code ?? String(error),
  );
