// Copies of the metadata in the object store, made now and then by one of the mounts, sealed like a page when the volume
// is encrypted. The dump is a thread's work; a failure is logged, and the next period tries again.
import { once } from 'node:events';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, FsError, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { counter } from '../../base/metrics.ts';
import type { PublicKey } from '../keys/volume-key.ts';
import { counterValue } from '../meta/statements.ts';
import { type EncryptAlgo, parseEncryptAlgo } from '../page/seal.ts';
import { type Engine, read } from '../sql/op.ts';
import { parseMetaUrl } from '../sql/url.ts';
import type { ObjectStore } from '../store/store.ts';
import { electBackup, renewStamp } from './election.ts';
import { backupName, superfluous } from './retention.ts';

export interface BackupPlan {
  readonly intervalMs: number;
  readonly skipTrash: boolean;
}

export interface BackupParts extends BackupPlan {
  readonly engine: Engine;
  readonly metaUrl: string;
  readonly store: ObjectStore;
  readonly volumeName: string;
  readonly encryptAlgo: string;
  /** Undefined for a volume that is not encrypted. */
  readonly key: PublicKey | undefined;
  readonly log: Log;
}

export interface BackupJob {
  readonly metaUrl: string;
  readonly fd: number;
  readonly spki: Uint8Array | undefined;
  readonly algo: EncryptAlgo;
  readonly skipTrash: boolean;
}

export type BackupDone =
  | { readonly kind: 'done'; readonly entries: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

/** The original client's: looked at ten times per interval, the clients of a volume not all at once. */
const LOOKS = 10;
/** And its limit: more inodes than this are backed up only by who asked for longer intervals. */
const MAX_INODES = 1_000_000n;
const HOUR_MS = 3_600_000;
const MAX_HEAP_MIB = 256;

const sibling = import.meta.url.endsWith('.ts') ? './backup-worker.ts' : './backup-worker.js';
const workerFile = new URL(sibling, import.meta.url);

export class MetadataBackup {
  readonly #parts: BackupParts;
  readonly #made = counter('pageseal_backups_total', 'Backups of the metadata in the object store');
  readonly #failed = counter('pageseal_backup_failures_total', 'Backups of the metadata that failed');
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #worker: Worker | undefined;
  #stopped = false;

  constructor(parts: BackupParts) {
    this.#parts = parts;
    this.#schedule();
  }

  #schedule(): void {
    const step = this.#parts.intervalMs / LOOKS;
    this.#timer = setTimeout(
      () => {
        this.#running = this.runIfDue().finally(() => {
          if (!this.#stopped) this.#schedule();
        });
      },
      step * (0.9 + Math.random() * 0.2),
    ).unref();
  }

  /** The object that was made, if it was this client's turn. Never rejects. */
  async runIfDue(): Promise<string | undefined> {
    const { engine, intervalMs, log } = this.#parts;
    try {
      if (await this.#tooMany()) {
        log.warn('backup of the metadata skipped: too many inodes for this interval, --backup-meta sets a longer one');
        return undefined;
      }
      const now = Date.now();
      if (!(await engine.run(() => electBackup(now, intervalMs)))) return undefined;
      return await this.#make(now);
    } catch (thrown) {
      if (this.#stopped) return undefined;
      this.#failed.inc();
      log.warn('backup of the metadata failed, trying again next time', { reason: FsError.from(thrown).message });
      return undefined;
    }
  }

  async #tooMany(): Promise<boolean> {
    const { engine, intervalMs } = this.#parts;
    if (intervalMs > HOUR_MS) return false;
    const [inodes = 0n] = await engine.view(function* () {
      return (yield* read(counterValue('totalInodes')))[0];
    });
    return inodes > MAX_INODES;
  }

  async #make(now: number): Promise<string> {
    const { engine, store, volumeName, intervalMs, log } = this.#parts;
    const object = `${volumeName}/meta/${backupName(new Date(now))}`;
    const renewing = setInterval(() => {
      engine.run(() => renewStamp(Date.now())).catch(() => undefined);
    }, intervalMs / 2).unref();
    const file = await this.#temporary();
    try {
      const entries = await this.#dump(file);
      const { size } = await file.stat();
      await store.putFile(object, file, size);
      this.#made.inc();
      log.info('metadata backed up', { object, entries, bytes: size, seconds: Math.round((Date.now() - now) / 1000) });
    } finally {
      clearInterval(renewing);
      await file.close();
    }
    await this.#tidy(now);
    return object;
  }

  /** Beside the database, where there is room for what describes it; without a name, so that a crash leaves nothing. */
  async #temporary(): Promise<FileHandle> {
    const location = parseMetaUrl(this.#parts.metaUrl);
    const folder = location.kind === 'sqlite' ? dirname(location.file) : tmpdir();
    const path = join(folder, `.pageseal-backup-${process.pid}-${Math.random().toString(36).slice(2)}`);
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    return file;
  }

  async #dump(file: FileHandle): Promise<number> {
    const { metaUrl, key, encryptAlgo, skipTrash } = this.#parts;
    const algo = parseEncryptAlgo(encryptAlgo);
    const job: BackupJob = { metaUrl, fd: file.fd, spki: key?.spki, algo, skipTrash };
    const worker = new Worker(workerFile, {
      name: 'pageseal backup',
      workerData: job,
      // Nothing of our environment: the passphrase may have come in it.
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    this.#worker = worker;
    worker.unref();
    const ended = once(worker, 'exit').then(() => fail('cancelled', 'dump metadata: its thread was ended'));
    try {
      const said = await Promise.race([once(worker, 'message'), ended]);
      if (said instanceof Error) throw said;
      const done = (said as [BackupDone])[0];
      if (done.kind === 'failed') throw fail(done.code, done.message);
      return done.entries;
    } finally {
      this.#worker = undefined;
      await worker.terminate();
    }
  }

  /** Only after a backup that succeeded. */
  async #tidy(now: number): Promise<void> {
    const { store, volumeName } = this.#parts;
    const folder = `${volumeName}/meta/`;
    const files: string[] = [];
    for await (const { key } of store.list(folder)) files.push(key.slice(folder.length));
    for (const file of superfluous(files, now)) await store.delete(folder + file);
  }

  /** One that is being made is given up: closing a mount does not wait for it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#worker?.terminate();
    await this.#running;
  }
}
