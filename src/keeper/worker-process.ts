// One run of `pageseal worker`: starts it with its descriptors and without rights, hears what it says, sees its end. It
// knows nothing of mounts and never starts a second one.
import { closeSync, openSync } from 'node:fs';
import { FsError, fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { Semaphore } from '../base/semaphore.ts';
import { native, type Spawned } from '../native/native.ts';
import { Control, type KeeperMessage, type WorkerMessage } from './control.ts';

/** Which program a worker is: Node and its arguments up to the script. */
export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  /** Its workers lead to places that others name: neither to this machine nor to its link. */
  readonly remoteOnly?: boolean;
}

/** A key derivation may take 128 MiB, and the pods of a node all start at once after a reboot. */
const unlocking = new Semaphore(1);
/** The costliest takes a second or two; who has not opened his volume by then waits for something else. */
const UNLOCK_MS = 10_000;

/** Whose rights it has; absent: the keeper's user. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The kernel shall end a worker rather than the keeper or a pod's main process: its successor is there at once. */
const OOM_SCORE_ADJ = 500;
const SIGKILL = 9;
/** Descriptor numbers in the worker; cli/worker.ts knows them too. */
export const workerFds = { control: 3, state: 4, fuse: 5 } as const;

export interface Exit {
  readonly code: number;
  readonly signal: number;
}

type Waiter = { readonly resolve: (message: WorkerMessage) => void; readonly reject: (error: unknown) => void };

export class WorkerProcess {
  readonly #spawned: Spawned;
  readonly #control: Control<KeeperMessage, WorkerMessage>;
  readonly #exited: Promise<Exit>;
  #exit: Exit | undefined;
  /** From here on the pidfd is closed and its number may be another worker's. */
  #gone = false;
  readonly #waiting = new Map<WorkerMessage['kind'], Waiter>();
  #failure: FsError | undefined;
  #ended: (WorkerMessage & { kind: 'ended' }) | undefined;
  readonly #seen = new Map<WorkerMessage['kind'], WorkerMessage>();
  #unanswered = 0;
  readonly #askers: Pick<PromiseWithResolvers<string>, 'resolve' | 'reject'>[] = [];
  readonly #unlocked = Promise.withResolvers<void>();

  constructor(program: Program, state: number, fuse: number | undefined, owner: Owner | undefined) {
    const [mine, theirs] = native.socketPair();
    const nothing = openSync('/dev/null', 'r+');
    try {
      this.#spawned = native.spawn({
        file: program.file,
        args: [program.file, ...program.args, 'worker', ...(program.remoteOnly ? ['--remote-only'] : [])],
        env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8'],
        directory: '/',
        fds: [nothing, 2, 2, theirs, state, fuse ?? nothing],
        newPidNamespace: true,
        ...owner,
        oomScoreAdj: OOM_SCORE_ADJ,
      });
    } catch (error) {
      closeSync(mine);
      throw fail('internal', `starting a worker: ${error instanceof Error ? error.message : error}`, { cause: error });
    } finally {
      closeSync(theirs);
      closeSync(nothing);
    }
    // Its last words and its end come in any order; both must have come before anyone is told that it ended.
    const silent = Promise.withResolvers<void>();
    this.#control = new Control<KeeperMessage, WorkerMessage>(mine, (m) => this.#received(m), silent.resolve);
    const gone = Promise.withResolvers<Exit>();
    native.watchExit(this.#spawned.pidfd, (code, signal) => {
      this.#gone = true;
      gone.resolve({ code, signal });
    });
    this.#exited = Promise.all([gone.promise, silent.promise]).then(([exit]) => this.#over(exit));
  }

  get pid(): number {
    return this.#spawned.pid;
  }
  /** Whether writes to a disk that a FUSE worker needs are exempt from waiting for itself (PR_SET_IO_FLUSHER). */
  get ioFlusher(): boolean {
    return this.#spawned.ioFlusher;
  }
  get pidNamespace(): boolean {
    return this.#spawned.pidNamespace;
  }
  /** What it said when serving was over. */
  get ended(): (WorkerMessage & { kind: 'ended' }) | undefined {
    return this.#ended;
  }
  get exited(): Promise<Exit> {
    return this.#exited;
  }

  /** Resolves with the message of that kind; rejects when it says that it failed, ends, or is not that far in time. */
  async expect<K extends WorkerMessage['kind']>(kind: K, deadlineMs: number): Promise<WorkerMessage & { kind: K }> {
    const seen = this.#seen.get(kind);
    if (seen !== undefined) return seen as WorkerMessage & { kind: K };
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#exit !== undefined) throw endedBefore(kind, this.#exit);
    const { promise, resolve, reject } = Promise.withResolvers<WorkerMessage>();
    this.#waiting.set(kind, { resolve, reject });
    const timer = setTimeout(
      () => reject(fail('timeout', `worker: not ${kind} after ${deadlineMs / 1000} seconds`)),
      deadlineMs,
    );
    try {
      return (await promise) as WorkerMessage & { kind: K };
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(kind);
    }
  }

  send(message: KeeperMessage): void {
    void this.#control.send(message);
  }

  /** Asks whether it is still there. Answers how often in a row it was asked before and has not answered. */
  ping(): number {
    this.send({ kind: 'ping' });
    return this.#unanswered++;
  }

  /** What it has counted. Who asks while an answer is on its way gets that one. */
  metrics(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const ask = this.#askers.length === 0;
    this.#askers.push({ resolve, reject });
    if (ask) this.send({ kind: 'metrics' });
    return promise;
  }

  kill(): void {
    if (this.#gone) return;
    try {
      native.signalProcess(this.#spawned.pidfd, SIGKILL);
    } catch (error) {
      // It ended, and we have not heard of it yet.
      log.debug('worker could not be killed', { pid: this.pid, error: String(error) });
    }
  }

  /** Resolves when it has ended; kills it when that takes longer. */
  async endWithin(deadlineMs: number): Promise<Exit> {
    const timer = setTimeout(() => {
      log.warn('worker did not end in time and is killed', { pid: this.pid, deadlineMs });
      this.kill();
    }, deadlineMs);
    try {
      return await this.#exited;
    } finally {
      clearTimeout(timer);
    }
  }

  #received(message: WorkerMessage): void {
    if (message.kind === 'opened' || message.kind === 'proven' || message.kind === 'failed') this.#unlocked.resolve();
    if (message.kind === 'failed') {
      this.#failure = new FsError(
        message.code,
        message.message,
        message.hint === undefined ? {} : { hint: message.hint },
      );
      for (const { reject } of this.#waiting.values()) reject(this.#failure);
      return;
    }
    if (message.kind === 'pong') this.#unanswered = 0;
    if (message.kind === 'metrics') {
      for (const { resolve } of this.#askers.splice(0)) resolve(message.text);
      return;
    }
    if (message.kind === 'unlocking') {
      void unlocking.run(() => this.#unlock());
      return;
    }
    if (message.kind === 'ended') this.#ended = message;
    this.#seen.set(message.kind, message);
    this.#waiting.get(message.kind)?.resolve(message);
  }

  /** Until it has opened its volume, said what is wrong, or ended. */
  async #unlock(): Promise<void> {
    if (this.#exit !== undefined) return;
    const timer = setTimeout(this.#unlocked.resolve, UNLOCK_MS);
    this.send({ kind: 'unlock' });
    await this.#unlocked.promise;
    clearTimeout(timer);
  }

  #over(exit: Exit): Exit {
    this.#exit = exit;
    this.#unlocked.resolve();
    this.#control.close();
    for (const [kind, { reject }] of this.#waiting) reject(endedBefore(kind, exit));
    for (const { reject } of this.#askers.splice(0)) reject(endedBefore('asked', exit));
    return exit;
  }
}

const endedBefore = (kind: string, exit: Exit): FsError =>
  fail('internal', `worker: ended before it was ${kind}, exit code ${exit.code}, signal ${exit.signal}`);
