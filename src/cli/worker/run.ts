// A worker's life: takes its settings out of the state memory, opens the file system, serves, and ends when it is told
// to, when the mount is gone, or at once when the keeper is.
import { fstatSync } from 'node:fs';
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { wipe } from '../../base/bytes.ts';
import { FsError, fail } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { exposition } from '../../base/metrics.ts';
import { openFileSystem } from '../../filesystem/open.ts';
import type { FileSystem } from '../../filesystem/options.ts';
import { parseMountOptions } from '../../fuse/mount-options.ts';
import type { NegotiatedState } from '../../fuse/negotiate.ts';
import { type FuseSession, startSession } from '../../fuse/session.ts';
import { Control, type KeeperMessage, type WorkerMessage } from '../../keeper/control.ts';
import { type Handoff, packHandoff, unpackHandoff, type WorkerSettings } from '../../keeper/handoff.ts';
import { StateMemory } from '../../keeper/state.ts';
import { workerFds } from '../../keeper/worker-process.ts';
import { native } from '../../native/native.ts';
import { nativeFiles } from './files.ts';
import { watchKept } from './kept-files.ts';
import { keyOf } from './key.ts';
import { openOptionsOf, remoteOnly, splitOptions } from './options.ts';
import { refuseOwnMounts } from './own-mounts.ts';
import { prove } from './prove.ts';
import { inFlightIn, marksIn } from './tables.ts';

/** A store that is slow must not keep a hand-over from happening; its pod has a grace of some ten seconds. */
const FLUSH_AHEAD_MS = 10_000;

export interface WorkerOptions {
  /** Tests: behave as on a kernel that cannot send requests again. */
  readonly withoutResend?: boolean;
  /** Whatever its settings say: nothing on this machine or its link is connected to. */
  readonly remoteOnly?: boolean;
}

export async function runWorker(options: WorkerOptions = {}): Promise<void> {
  native.setDumpable(false);
  if (fstatSync(workerFds.control, { throwIfNoEntry: false })?.isSocket() !== true)
    throw fail('bad-input', 'worker: is started by a keeper only', { hint: 'pageseal mount' });
  await new Worker(StateMemory.attach(workerFds.state), options).run();
}

class Worker {
  readonly #state: StateMemory;
  readonly #withoutResend: boolean;
  readonly #remoteOnly: boolean;
  readonly #control: Control<WorkerMessage, KeeperMessage>;
  readonly #mayUnlock = Promise.withResolvers<void>();
  readonly #serve = Promise.withResolvers<void>();
  #fileSystem: FileSystem | undefined;
  #session: FuseSession | undefined;
  #ending = false;
  readonly #ended = Promise.withResolvers<void>();

  constructor(state: StateMemory, options: WorkerOptions) {
    this.#state = state;
    this.#withoutResend = options.withoutResend ?? !kernelResends();
    this.#remoteOnly = options.remoteOnly === true;
    this.#control = new Control<WorkerMessage, KeeperMessage>(
      workerFds.control,
      (message) => this.#received(message),
      () => process.exit(1), // the keeper is gone: nobody supervises us, and what was acknowledged is marked
    );
    // Not from the keeper, so somebody means this process and not the mount: a successor goes on with the session.
    process.on('SIGTERM', () => void this.#stop(true));
    process.on('SIGINT', () => undefined);
  }

  async run(): Promise<void> {
    const packed = this.#state.unseal();
    try {
      const unpacked = unpackHandoff(packed);
      const handoff = this.#remoteOnly ? { ...unpacked, settings: remoteOnly(unpacked.settings) } : unpacked;
      // Set here and not inherited: what the kernel shows of a process's environment is what it was started with.
      Object.assign(process.env, handoff.settings.environment);
      await this.#trust(handoff.settings);
      if (handoff.passphrase !== undefined) {
        await this.#control.send({ kind: 'unlocking' });
        await this.#mayUnlock.promise;
      }
      if (handoff.settings.purpose === 'prove') {
        await prove(handoff);
        await this.#control.send({ kind: 'proven' });
        process.exit(0);
      }
      await this.#open(handoff);
    } catch (thrown) {
      const { code, message, hint } = FsError.from(thrown, 'worker');
      await this.#control.send({ kind: 'failed', code, message, hint });
      process.exit(1);
    } finally {
      wipe(packed);
    }
    await Promise.race([this.#serve.promise, this.#ended.promise]);
    if (!this.#ending) await this.#serveMount();
    await this.#ended.promise;
  }

  /** A successor does without what cannot be read: the mount is there, and may have no need of it. */
  async #trust({ caFile }: WorkerSettings): Promise<void> {
    if (caFile === undefined) return;
    const { trustAuthorities } = await import('../../connection/authorities.ts');
    try {
      trustAuthorities(caFile);
    } catch (thrown) {
      if (this.#state.epoch === 0) throw thrown;
      log.warn('worker: goes on with the usual certificate authorities', { error: FsError.from(thrown).message });
    }
  }

  async #open(handoff: Handoff): Promise<void> {
    const { settings } = handoff;
    const options = splitOptions(settings.options);
    const { flags, allowOther, source = null, contexts, transport } = parseMountOptions(options.mount);
    if (transport !== 'kernel') throw fail('bad-input', `worker: transport ${transport} cannot be supervised`);
    if (this.#state.epoch === 0) await refuseOwnMounts(settings);
    const key = await keyOf(handoff);
    const { sessionId } = this.#state;
    const fileSystem = await openFileSystem({
      ...openOptionsOf(settings),
      ...options.open,
      ...(key && { key }),
      files: nativeFiles,
      ...(sessionId !== undefined && { sessionId }),
      onSession: (sid) => {
        this.#state.sessionId = sid;
      },
      marks: marksIn(this.#state),
      epoch: this.#state.epoch,
    });
    this.#fileSystem = fileSystem;
    this.#keepKey(handoff, fileSystem);
    this.#state.sessionId = fileSystem.sessionId;
    const { uuid, name, keyId = '' } = fileSystem;
    await this.#control.send({ kind: 'opened', uuid, name, keyId, mount: { flags, allowOther, source, contexts } });
  }

  /** From now on the state memory holds the key itself, and no passphrase any more. */
  #keepKey(handoff: Handoff, fileSystem: FileSystem): void {
    if (handoff.der !== undefined) return;
    const der = fileSystem.unlockedKey();
    // A successor must open this file system, whatever the connection leads to by then.
    const settings = { ...handoff.settings, uuid: fileSystem.uuid };
    const packed = packHandoff({ settings, der });
    this.#state.seal(packed);
    wipe(packed, der);
  }

  async #serveMount(): Promise<void> {
    const fileSystem = this.#fileSystem;
    if (fileSystem === undefined) return;
    const state = this.#state;
    const predecessor = state.negotiated;
    const negotiated = Promise.withResolvers<void>();
    const session = startSession({
      descriptor: workerFds.fuse,
      vfs: fileSystem.vfs,
      log: log.child({ volume: fileSystem.name }),
      connectionId: state.connectionId,
      trackRequests: true,
      ...(predecessor !== undefined && { predecessor: JSON.parse(predecessor) as NegotiatedState }),
      onNegotiated: (agreed) => {
        state.negotiated = JSON.stringify(agreed);
        negotiated.resolve();
      },
      ...(this.#withoutResend && { inflight: inFlightIn(state), withoutResend: true }),
    });
    this.#session = session;
    if (predecessor !== undefined) watchKept(fileSystem, session);
    void session.stopped.then(
      (reason) => (reason === 'stopped' ? undefined : this.#finish('unmounted', false, undefined)),
      (error: unknown) => this.#finish('unmounted', false, error),
    );
    if (predecessor === undefined) await Promise.race([negotiated.promise, this.#ended.promise]);
    await this.#control.send({ kind: 'ready' });
  }

  #received(message: KeeperMessage): void {
    if (message.kind === 'unlock') this.#mayUnlock.resolve();
    else if (message.kind === 'ping') void this.#control.send({ kind: 'pong' });
    else if (message.kind === 'metrics') void this.#sendMetrics();
    else if (message.kind === 'serve') this.#serve.resolve();
    else void this.#stop(message.keepSession);
  }

  async #sendMetrics(): Promise<void> {
    await this.#control.send({ kind: 'metrics', text: await exposition() });
  }

  async #stop(keepSession: boolean): Promise<void> {
    if (this.#ending) return;
    let failure: unknown;
    if (keepSession) await this.#flushAhead();
    try {
      await this.#session?.stopReading();
    } catch (thrown) {
      failure = thrown;
    }
    await this.#finish('stopped', keepSession, failure);
  }

  /** Most of what is dirty goes out while callers are still answered; they wait for the rest and the successor only. */
  async #flushAhead(): Promise<void> {
    const vfs = this.#fileSystem?.vfs;
    if (vfs === undefined || vfs.away) return;
    // What fails is kept in mind by the files, and told.
    await Promise.race([vfs.flushAll().catch(() => undefined), sleep(FLUSH_AHEAD_MS, undefined, { ref: false })]);
  }

  /** Closes, which flushes; says how it went; ends the process. */
  async #finish(why: 'unmounted' | 'stopped', keepSession: boolean, failure: unknown): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    let error = failure;
    try {
      await this.#fileSystem?.close({ keepSession });
    } catch (thrown) {
      error ??= thrown;
    }
    const said = error === undefined ? {} : { error: FsError.from(error, 'last flush').message };
    await this.#control.send({ kind: 'ended', why, ...said });
    this.#ended.resolve();
    process.exit(0);
  }
}

/** FUSE_HAS_RESEND came with 6.9; noting ids costs a little on each request, so only where it is needed. */
function kernelResends(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 9);
}
