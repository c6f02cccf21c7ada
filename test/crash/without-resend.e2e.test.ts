// A kernel that cannot send requests again: calls that a killed worker had taken fail with EIO, and the mount goes on.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { environmentFor } from '../../src/config/worker-environment.ts';
import { StateMemory } from '../../src/keeper/state.ts';
import { Volume } from '../../src/keeper/volume.ts';
import { isScaled } from '../harness/place.ts';
import { run, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { pause } from './client.ts';
import { CrashVolume, PASSPHRASE } from './volume.ts';

const worker = fileURLToPath(new URL('worker-without-resend.ts', import.meta.url));

/** The kernel's. */
const ID_STEP = 2n;
/** Far longer than anything that does not wait for a lock. */
const STILL_MS = 1000;

describe('kill -9 of the worker, without resend', needs(...interopNeeds), () => {
  test('what was in flight fails with EIO, what comes after does not', async (t) => {
    const temp = makeTemp(t);
    const made = await CrashVolume.make(temp, false);
    const { mountPoint, metaUrl } = made;
    mkdirSync(mountPoint);
    const volume = await Volume.open({
      id: 'v',
      program: { file: process.execPath, args: ['--disable-warning=ExperimentalWarning', worker] },
      owner: undefined,
      mountPoint,
      metricsSocket: temp.at('metrics.sock'),
      handoff: {
        settings: {
          purpose: 'serve',
          metaUrl,
          store: {},
          environment: environmentFor({ withIdentity: false }),
          encryptionRequired: true,
          uuid: '',
          keyId: '',
          directory: '',
          readOnly: false,
          options: [],
          mountPoint,
          ownMounts: [mountPoint],
        },
        pem: readFileSync(made.key.file),
        passphrase: Buffer.from(PASSPHRASE),
      },
    });
    try {
      const call = (code: string) => run('python3', ['-c', `import os; ${code}`], { env: temp.env });
      assert.equal((await call(`os.mkdir("${mountPoint}/before")`)).stderr, '');
      // The directory is locked: the worker takes the request and cannot finish it.
      const inFlight = await made.place.whileLocked(
        'UPDATE jfs_node SET mode = mode WHERE inode = 1',
        async (stuck) => {
          const before = newest();
          const outcome = call(`os.mkdir("${mountPoint}/in-flight")`);
          await until('the worker has the lookup and the mkdir', () => newest() >= before + 2n * ID_STEP);
          await stuck();
          await nothingNew();
          process.kill(volume.pid, 'SIGKILL');
          return { outcome };
        },
      );
      const outcome = await inFlight.outcome;
      assert.match(outcome.stderr, /OSError: \[Errno 5\]/);
      assert.equal((await call(`os.mkdir("${mountPoint}/after")`)).stderr, '');
      // PostgreSQL may have had all of it from the dead, COMMIT as well.
      const repeated = await call(`os.makedirs("${mountPoint}/in-flight", exist_ok=${isScaled ? 'True' : 'False'})`);
      assert.equal(repeated.stderr, '');
      assert.equal((await run('ls', [mountPoint])).stdout, 'after\nbefore\nin-flight\n');
      assert.equal(volume.restarts, 1);
    } finally {
      await volume.close({ detach: true });
    }
    await made.check();
  });
});

/**
 * Attributes that ran out are asked for, too, so that the last request seen may not be the one that cannot be finished: it
 * is when no other comes any more.
 */
async function nothingNew(): Promise<void> {
  for (let last = -1n, seen = newest(); seen !== last; seen = newest()) {
    last = seen;
    await pause(STILL_MS);
  }
}

/** The last request that the worker noted in its state memory, which this process shares. */
function newest(): bigint {
  for (const fd of readdirSync('/proc/self/fd'))
    if (linkOf(fd).startsWith('/memfd:pageseal-state'))
      return (
        StateMemory.attach(Number(fd))
          .inFlight.stored()
          .toSorted((a, b) => Number(a - b))
          .at(-1) ?? 0n
      );
  throw new Error('no state memory is open');
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ''; // that of the listing itself
  }
}
