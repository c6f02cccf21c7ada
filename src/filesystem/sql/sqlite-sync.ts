// Makes commits survive a power cut without SQLite doing it on the event loop.
//
// The database runs with synchronous=NORMAL: a commit appends its frames to the -wal file and returns. synchronous=FULL
// differs in one thing only, an fsync of the -wal file after each commit; so an fdatasync of that file through a
// descriptor of our own, begun after the commit, gives the same promise and runs on libuv's pool. (A checkpoint syncs the
// -wal before and the database after it copies, in both modes.) The descriptor is opened on the -wal file only: POSIX
// drops all locks a process holds on a file when any descriptor of it is closed, and SQLite keeps its locks on the
// database and the -shm file, none on the -wal. The file cannot be replaced while our connection is open, since only the
// last connection to close removes it.
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fail } from '../../base/errors.ts';

export class WalSync {
  readonly #file: string;
  #handle: FileHandle | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(databaseFile: string) {
    this.#file = `${databaseFile}-wal`;
  }

  /** Everything committed before the call survives when it resolves. Calls during a running sync share the next one. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = this.#once().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #once(): Promise<void> {
    try {
      this.#handle ??= await this.#open();
      await this.#handle.datasync();
    } catch (cause) {
      throw fail('EIO', `sync ${this.#file}`, { cause });
    }
  }

  async #open(): Promise<FileHandle> {
    const handle = await open(this.#file, 'r');
    // SQLite syncs the folder with its own first sync of the file, which in this mode is as late as the first checkpoint.
    const folder = await open(dirname(this.#file), 'r');
    await folder.sync().finally(() => folder.close());
    return handle;
  }

  async close(): Promise<void> {
    await this.#running?.catch(() => undefined);
    await this.#handle?.close();
    this.#handle = undefined;
  }
}
