// The body of the checkpoint thread: copies commits from the -wal file into the database, with the syncs that needs, away
// from the event loop. Has a connection of its own; reads no row.
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

const database = new DatabaseSync(String(workerData), { timeout: 0 });
// Syncs the -wal file before and the database after the copy, so that a power cut finds one of them whole.
database.exec('PRAGMA synchronous=NORMAL');

parentPort?.on('message', (message: 'checkpoint' | 'close') => {
  if (message === 'close') {
    database.close();
    parentPort?.close();
    return;
  }
  try {
    // PASSIVE waits for nobody: what readers still need is left to the next one.
    database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  } catch {
    // Somebody else is at it, or the disk is full: the commits stay in the -wal file.
  }
  parentPort?.postMessage('done');
});
