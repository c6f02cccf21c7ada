// Keeps one volume served: starts its worker, and another behind the same mount when it dies. It never mounts or unmounts;
// when no worker comes up before the recovery deadline it gives up, and waiting callers get ENOTCONN.
import { setTimeout as sleep } from 'node:timers/promises';
import { FsError, fail } from '../base/errors.ts';
import { type Log, log } from '../base/log.ts';
import { pauseMs } from '../base/retry.ts';
import type { WorkerMessage } from './control.ts';
import type { StateMemory } from './state.ts';
import { type Owner, type Program, WorkerProcess } from './worker-process.ts';

/** A remote database that is slow to answer, and a KDF of the costliest kind; below kubelet's two minutes. */
const OPEN_DEADLINE_MS = 60_000;
/** INIT is answered at once; the machine may be busy. */
const READY_DEADLINE_MS = 20_000;
/** Waiting callers cannot be killed, so somebody must end their wait. */
const RECOVERY_DEADLINE_MS = 120_000;
/** Uploads of what is dirty (64 MiB at most per mount) over a slow line, then the worker is killed. */
const STOP_DEADLINE_MS = 60_000;
/** The first successor comes at once; then with pauses, so that a worker that dies in its first second costs little. */
const BACKOFF = { attempts: 0, baseMs: 100, capMs: 5000, when: () => true };
/** After this long a death is a new story, not the next of a series. */
const SETTLED_MS = 60_000;

/** A worker whose loop stands still is worse than a dead one: who waits for it cannot even be killed. */
const HANG_DEADLINE_MS = RECOVERY_DEADLINE_MS;
/** Asked so often before. Counted, not timed: a machine that slept wakes up with one question missed. */
const PINGS = 8;

export type Opened = WorkerMessage & { readonly kind: 'opened' };

/** serving; recovering: between workers; ended: told to, or unmounted; lost: given up. */
export type Health = 'starting' | 'serving' | 'recovering' | 'ended' | 'lost';

export interface SupervisorOptions {
  readonly program: Program;
  readonly state: StateMemory;
  /** The /dev/fuse descriptor; stays the caller's. */
  readonly fuse: number;
  readonly owner: Owner | undefined;
  readonly volumeId: string;
  /** Serving is over without our doing: everything was unmounted ('ended'), or no worker came up ('lost'). */
  readonly over: (health: 'ended' | 'lost') => void;
  /** Each time that a worker has begun to answer. */
  readonly serving?: (() => void) | undefined;
  /** Tests shorten them. */
  readonly recoveryDeadlineMs?: number;
  readonly stopDeadlineMs?: number;
  readonly hangDeadlineMs?: number;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Log;
  #worker: WorkerProcess | undefined;
  #health: Health = 'starting';
  #restarts = 0;
  #stopping = false;
  #deaths = 0;
  #servingSince = 0;
  readonly #giveUp = new AbortController();
  #flushError: string | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#log = log.child({ volume: options.volumeId });
  }

  get health(): Health {
    return this.#health;
  }
  get restarts(): number {
    return this.#restarts;
  }
  /** What the worker has counted: since it started, so that numbers fall back when it is replaced. */
  metrics(): Promise<string> {
    if (this.#worker === undefined)
      return Promise.reject(fail('failed-precondition', 'statistics: no worker at the moment'));
    return this.#worker.metrics();
  }

  get pid(): number {
    return this.#worker?.pid ?? 0;
  }
  /** What the last flush of a worker that ended said. */
  get flushError(): string | undefined {
    return this.#flushError;
  }

  /** Starts the first worker and resolves when it has opened the file system. A worker that fails leaves nothing. */
  async open(): Promise<Opened> {
    const worker = this.#spawn();
    try {
      return await worker.expect('opened', OPEN_DEADLINE_MS);
    } catch (error) {
      this.#stopping = true;
      worker.kill();
      await worker.exited;
      this.#health = 'ended';
      throw error;
    }
  }

  /** The descriptor is mounted: lets the worker answer and watches over it from now on. */
  async serve(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) throw new FsError('internal', 'supervisor: serve before open');
    worker.send({ kind: 'serve' });
    await worker.expect('ready', READY_DEADLINE_MS);
    this.#serving(worker);
  }

  /** Behind a mount that another keeper left: the first worker is a successor, and may need several tries. */
  adopt(): void {
    void this.#recover();
  }

  /** Ends the worker after its last flush; resolves when the process is gone. */
  async stop(keepSession: boolean): Promise<void> {
    this.#stopping = true;
    this.#giveUp.abort();
    const worker = this.#worker;
    if (worker !== undefined) {
      worker.send({ kind: 'stop', keepSession });
      await worker.endWithin(this.#options.stopDeadlineMs ?? STOP_DEADLINE_MS);
      this.#note(worker);
    }
    if (this.#health !== 'lost') this.#health = 'ended';
  }

  #spawn(): WorkerProcess {
    const { program, state, fuse, owner } = this.#options;
    const worker = new WorkerProcess(program, state.fd, fuse, owner);
    this.#worker = worker;
    this.#log.debug('worker started', { pid: worker.pid, pidNamespace: worker.pidNamespace, epoch: state.epoch });
    if (!worker.ioFlusher)
      this.#log.debug(
        'worker is no IO flusher: no CAP_SYS_RESOURCE; under memory pressure writes to a local store may wait for themselves',
      );
    return worker;
  }

  #serving(worker: WorkerProcess): void {
    this.#health = 'serving';
    this.#servingSince = Date.now();
    this.#endWhenHanging(worker);
    this.#options.serving?.();
    void worker.exited.then((exit) => {
      if (this.#stopping) return;
      this.#note(worker);
      if (worker.ended?.why === 'unmounted') {
        this.#health = 'ended';
        this.#options.over('ended');
        return;
      }
      this.#log.warn('worker died, starting another behind the mount', { pid: worker.pid, ...exit });
      void this.#recover();
    });
  }

  #endWhenHanging(worker: WorkerProcess): void {
    const timer = setInterval(
      () => {
        if (worker.ping() < PINGS || this.#stopping) return;
        this.#log.error('worker hangs and is killed', { pid: worker.pid });
        worker.kill();
      },
      (this.#options.hangDeadlineMs ?? HANG_DEADLINE_MS) / PINGS,
    );
    timer.unref();
    void worker.exited.then(() => clearInterval(timer));
  }

  /** Its last words, once. */
  #note(worker: WorkerProcess): void {
    if (worker.ended?.error === undefined || this.#flushError !== undefined) return;
    this.#flushError = worker.ended.error;
    this.#log.error('worker could not write everything out', { error: worker.ended.error });
  }

  async #recover(): Promise<void> {
    this.#health = 'recovering';
    if (Date.now() - this.#servingSince > SETTLED_MS) this.#deaths = 0;
    const deadline = Date.now() + (this.#options.recoveryDeadlineMs ?? RECOVERY_DEADLINE_MS);
    while (!this.#stopping) {
      if (this.#deaths++ > 0 && !(await this.#pause())) return;
      try {
        await this.#succeed(Math.max(1, Math.min(OPEN_DEADLINE_MS, deadline - Date.now())));
        return;
      } catch (error) {
        if (this.#stopping) return;
        this.#log.error('no worker behind the mount', { error: FsError.from(error).message, deaths: this.#deaths });
        if (Date.now() >= deadline) break;
      }
    }
    if (this.#stopping) return;
    this.#health = 'lost';
    this.#log.error('giving up: the mount answers ENOTCONN from now on', { restarts: this.#restarts });
    this.#options.over('lost');
  }

  /** False when stopped meanwhile. */
  async #pause(): Promise<boolean> {
    try {
      const ms = pauseMs(BACKOFF, Math.min(this.#deaths - 1, 16));
      await sleep(ms, undefined, { signal: this.#giveUp.signal });
      return true;
    } catch {
      return false;
    }
  }

  async #succeed(openDeadlineMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#options.state.epoch++;
    const worker = this.#spawn();
    this.#restarts++;
    try {
      await worker.expect('opened', openDeadlineMs);
      worker.send({ kind: 'serve' });
      await worker.expect('ready', READY_DEADLINE_MS);
    } catch (error) {
      worker.kill();
      await worker.exited;
      throw error;
    }
    if (this.#stopping) return; // stop() has this worker by now
    this.#serving(worker);
    this.#log.info('another worker serves the mount', { pid: worker.pid, epoch: this.#options.state.epoch });
  }
}
