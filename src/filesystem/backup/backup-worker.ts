// The body of the backup thread: a dump, packed, and sealed when there is a key, into a file that the other side has
// opened. Reads the database on a connection of its own.
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { FsError } from '../../base/errors.ts';
import { dumpMetadata } from '../dump/dump.ts';
import { packing } from '../dump/output.ts';
import { PublicKey } from '../keys/volume-key.ts';
import { sealStream } from '../page/seal-stream.ts';
import { openSnapshot } from '../sql/open-engine.ts';
import type { BackupDone, BackupJob } from './backup.ts';

const job = workerData as BackupJob;

async function run(): Promise<BackupDone> {
  const snapshot = await openSnapshot(job.metaUrl);
  try {
    const [packed] = packing('.gz');
    if (packed === undefined) throw new Error('gzip is always there');
    const sealed = job.spki === undefined ? [] : [sealStream(job.algo, PublicKey.fromSpki(Buffer.from(job.spki)))];
    const file = createWriteStream('', { fd: job.fd, autoClose: false });
    const flowing = pipeline([packed, ...sealed, file]);
    const { entries } = await dumpMetadata(
      snapshot,
      async (text) => {
        if (!packed.write(text)) await Promise.race([new Promise((done) => packed.once('drain', done)), flowing]);
      },
      { skipTrash: job.skipTrash },
    );
    packed.end();
    await flowing;
    return { kind: 'done', entries };
  } finally {
    await snapshot.close();
  }
}

parentPort?.postMessage(
  await run().catch((thrown: unknown): BackupDone => {
    const { code, message } = FsError.from(thrown, 'dump metadata');
    return { kind: 'failed', code, message };
  }),
);
