// One mounted file system as the kernel sees it: takes requests from /dev/fuse, hands them to the Vfs, writes replies.
// Knows nothing of where the descriptor came from. Every request gets exactly one reply, whatever happens in between.
import { fail } from '../base/errors.ts';
import { onceStuck } from '../base/interrupt.ts';
import type { Log } from '../base/log.ts';
import type { Ino } from '../base/words.ts';
import type { Vfs } from '../filesystem/vfs/vfs.ts';
import { type FuseChannel, native } from '../native/native.ts';
import { handlerOf, mayBeAbandoned, REFUSAL } from './dispatch.ts';
import { EdgeLog } from './edge-log.ts';
import { type InFlightLog, InFlightNotes } from './inflight.ts';
import { hasExpireOnly, hasResend, initBody, MAX_WRITE, type NegotiatedState, negotiate } from './negotiate.ts';
import { NodeIds } from './nodes.ts';
import { invalidInode, NOTIFY_HEADER, Notifier } from './notify.ts';
import type { Context } from './operations/handler.ts';
import { Privileges } from './operations/privileges.ts';
import { Errno, InHeader, InitFlag2, Notify, Opcode } from './protocol.ts';
import { type Answer, Held } from './reply.ts';
import { KernelRequest, type Slab, slabOf } from './request.ts';
import { maySpin, SpinPolicy } from './spin.ts';
import { timerOf } from './timers.ts';

/** Room the kernel wants for one request: the largest payload and a page for its headers. */
const LARGEST = MAX_WRITE + 4096;
/** Two of the largest, or a batch of small ones beside one. */
const SLAB_BYTES = 2 * LARGEST;
const MAX_BATCH = 128;
/**
 * Requests handled at once; beyond, no more are read until one is answered. Callers wait in the kernel then. Far above
 * what MAX_BACKGROUND and the threads of a usual node produce.
 */
const MAX_IN_FLIGHT = 1024;

export type StopReason = 'unmounted' | 'aborted' | 'stopped';

export interface SessionOptions {
  /** /dev/fuse, mounted; stays the caller's to close after `stopped`. */
  readonly descriptor: number;
  readonly vfs: Vfs;
  readonly log: Log;
  /** What a predecessor on this descriptor agreed with the kernel; absent for a fresh mount. */
  readonly predecessor?: NegotiatedState;
  /** Called before the kernel may send its first request. */
  readonly onNegotiated?: (state: NegotiatedState) => void;
  /** Random 63-bit number of this kernel connection; the same for all successors. */
  readonly connectionId: bigint;
  /** Whether answers may be asked for again (a keeper holds the descriptor): sets Caller.request. */
  readonly trackRequests: boolean;
  /** For kernels without resend. */
  readonly inflight?: InFlightLog;
  /** Tests: behave as on a kernel that cannot send requests again. */
  readonly withoutResend?: boolean;
}

export interface SessionStats {
  readonly requests: number;
  readonly inFlight: number;
  readonly batches: number;
  readonly resent: number;
}

export interface FuseSession {
  /** Resolves when nothing of the session is left, after everything dirty was flushed if the mount is gone. */
  readonly stopped: Promise<StopReason>;
  /** Reads no more, answers what is in flight; for SIGTERM and hand-over. The mount waits for a successor. */
  stopReading(): Promise<void>;
  /**
   * Makes the kernel forget attributes, and pages from `offset` (negative: keep pages; length 0: to the end). Answers
   * whether it knows the inode.
   */
  notifyInode(ino: Ino, offset: number, length: number): Promise<boolean>;
  /** Makes the kernel look the name up again. */
  notifyEntry(parent: Ino, name: Buffer): Promise<boolean>;
  stats(): SessionStats;
}

class Session implements FuseSession {
  readonly stopped: Promise<StopReason>;
  readonly #options: SessionOptions;
  readonly #channel: FuseChannel;
  readonly #slab: Slab;
  readonly #table: Uint32Array;
  readonly #control = new Int32Array(2);
  readonly #context: Context;
  readonly #notifier: Notifier;
  readonly #notes: InFlightNotes | undefined;
  readonly #edge: EdgeLog;
  readonly #spin = new SpinPolicy(maySpin());
  readonly #active = new Map<number, KernelRequest>();
  readonly #settle: { resolve(reason: StopReason): void; reject(error: unknown): void };
  #state: NegotiatedState | undefined;
  #inFlight = 0;
  /**
   * Waiting for locks, as long as it takes: neither does their number keep others from being read, nor does anybody wait
   * for them at the end. A successor gets them sent again and goes on waiting.
   */
  readonly #waiting = new Set<KernelRequest>();
  #paused = false;
  #ending: StopReason | undefined;
  #failure: unknown;
  #requests = 0;
  #batches = 0;
  #resent = 0;

  constructor(options: SessionOptions) {
    const { vfs, descriptor } = options;
    this.#options = options;
    this.#state = options.predecessor;
    this.#edge = new EdgeLog(options.log);
    const nodes = new NodeIds(vfs.root);
    const notifier = new Notifier(descriptor, nodes);
    this.#notifier = notifier;
    this.#context = {
      vfs,
      nodes,
      notifier,
      privileges: new Privileges(vfs),
      agreed: () => this.#state,
      forgetAttributes: (ino) => this.#forgetAttributes(nodes.toNode(ino)),
    };
    vfs.onStale((ino) => {
      if (this.#ending === undefined) notifier.inode(ino, 0, 0).catch(() => undefined); // gone with the connection
    });
    const { promise, resolve, reject } = Promise.withResolvers<StopReason>();
    this.stopped = promise;
    this.#settle = { resolve, reject };
    this.#slab = slabOf(Buffer.allocUnsafeSlow(SLAB_BYTES));
    this.#table = new Uint32Array(2 * MAX_BATCH);
    this.#notes = options.inflight === undefined ? undefined : new InFlightNotes(options.inflight);
    this.#channel = native.fuseOpen(
      descriptor,
      this.#slab.bytes,
      this.#table,
      this.#control,
      LARGEST,
      (count, idle) => this.#onBatch(count, idle),
      (errno) => this.#onEnd(errno),
    );
  }

  start(): void {
    const { predecessor } = this.#options;
    // Before the first read: the kernel queues again everything that was read, and that must not be ours.
    if (predecessor !== undefined) {
      if (hasResend(predecessor)) this.#resend();
      else if (this.#notes !== undefined) this.#disown(this.#notes);
    }
    native.fuseRead(this.#channel, true);
  }

  #resend(): void {
    const errno = native.fuseReply(this.#channel, 0, 0, Notify.RESEND);
    if (errno !== 0) this.#options.log.error('the kernel refused to send requests again', { errno });
  }

  #forgetAttributes(node: bigint): void {
    // Pages are left alone, so no lock is waited for. ENOENT: interrupted, and the kernel let go of the inode.
    native.fuseReply(this.#channel, 0, 0, Notify.INVAL_INODE, invalidInode(node, -1, 0).subarray(NOTIFY_HEADER));
  }

  #disown(notes: InFlightNotes): void {
    let ended = 0;
    for (const id of notes.orphans()) {
      // ENOENT for all that was answered before or never read.
      const errno = native.fuseReply(this.#channel, Number(id & 0xffff_ffffn), Number(id >> 32n), -Errno.EIO);
      if (errno === 0) ended++;
    }
    notes.disowned();
    if (ended > 0) this.#options.log.warn('requests of a predecessor ended with EIO', { requests: ended });
  }

  #onBatch(count: number, idle: number): void {
    this.#batches++;
    if (this.#inFlight === 0) this.#control[1] = this.#spin.record(idle);
    for (let i = 0; i < count; i++) this.#take(this.#table[2 * i] ?? 0, this.#table[2 * i + 1] ?? 0);
    if (this.#inFlight >= MAX_IN_FLIGHT && !this.#paused && this.#ending === undefined) {
      this.#paused = true;
      native.fuseRead(this.#channel, false);
    }
  }

  #take(offset: number, length: number): void {
    this.#requests++;
    if (length < InHeader.size) {
      this.#edge.once('request without a header', { length });
      return;
    }
    const request = new KernelRequest(this.#slab, offset, length);
    try {
      if (request.opcode === Opcode.FORGET) this.#forget(request.node, request.u64(0));
      else if (request.opcode === Opcode.BATCH_FORGET) this.#forgetBatch(request);
      else if (request.opcode === Opcode.INTERRUPT) this.#interrupt(request);
      else if (request.opcode === Opcode.INIT) this.#init(request);
      else this.#begin(request);
    } catch (thrown) {
      const errno = this.#edge.failed(request.name, request.node, thrown);
      // Not begun for want of room in the log of ids; the others get no reply in any case.
      if (handlerOf(request.opcode) !== undefined) this.#send(request, errno, undefined);
    }
    request.seal();
  }

  #forget(node: bigint, count: bigint): void {
    this.#context.vfs.forget(this.#context.nodes.toIno(node), count);
  }

  #forgetBatch(request: KernelRequest): void {
    const count = request.u32(0);
    for (let i = 0; i < count; i++) this.#forget(request.u64(8 + 16 * i), request.u64(16 + 16 * i));
  }

  #interrupt(request: KernelRequest): void {
    const id = Number(request.u64(0) & 0x7fff_ffff_ffff_ffffn);
    const interrupted = this.#active.get(id);
    // Not there: answered meanwhile.
    if (interrupted === undefined) return;
    interrupted.interrupt();
    if (!mayBeAbandoned(interrupted.opcode)) return;
    const callOff = onceStuck(
      () => this.#context.vfs.away,
      () => this.#abandon(interrupted),
    );
    interrupted.onAnswered(callOff);
  }

  /** Its caller may be dying and cannot, as long as it waits for what is away. */
  #abandon(request: KernelRequest): void {
    if (this.#active.get(request.id) !== request) return;
    request.abandoned = true;
    this.#send(request, Errno.EINTR, undefined);
  }

  #init(request: KernelRequest): void {
    const { vfs, withoutResend = false } = this.#options;
    try {
      const state = negotiate(
        {
          major: request.u32(0),
          minor: request.u32(4),
          maxReadahead: request.u32(8),
          flags: request.u32(12),
          flags2: request.bodyLength >= 20 ? request.u32(16) : 0,
        },
        {
          accessLists: vfs.accessLists,
          locks: !vfs.readOnly,
          refused2: withoutResend ? InitFlag2.HAS_RESEND : 0,
        },
      );
      this.#state = state;
      if (state !== undefined) this.#options.onNegotiated?.(state);
      this.#send(request, 0, initBody(state));
    } catch (thrown) {
      this.#send(request, Errno.EPROTO, undefined);
      this.#fail(thrown);
    }
  }

  #begin(request: KernelRequest): void {
    const handler = handlerOf(request.opcode);
    if (handler === undefined) return void this.#send(request, REFUSAL, undefined);
    const { trackRequests, connectionId } = this.#options;
    const resent = request.resent;
    if (resent) this.#resent++;
    if (trackRequests) request.request = { mount: connectionId, unique: request.unique, resent };
    this.#notes?.note(request.unique);
    this.#active.set(request.id, request);
    if (request.opcode === Opcode.SETLKW) this.#waiting.add(request);
    else this.#control[0] = ++this.#inFlight;
    Promise.try(handler, this.#context, request).then(
      (answer) => this.#finish(request, 0, answer),
      (thrown) => this.#finish(request, this.#edge.failed(request.name, request.node, thrown), undefined),
    );
  }

  #finish(request: KernelRequest, error: number, answer: Answer): void {
    const waited = this.#waiting.delete(request);
    if (waited && error !== 0 && this.#ending !== undefined) {
      this.#leave(request);
      return;
    }
    const body = answer instanceof Held ? answer.body : answer;
    const errno = request.abandoned ? Errno.ENOENT : this.#send(request, error, body);
    request.answered();
    if (errno !== 0 && answer instanceof Held) answer.undo();
    this.#active.delete(request.id);
    this.#notes?.clear(request.unique);
    if (!waited) {
      this.#control[0] = --this.#inFlight;
      timerOf(request.opcode).add(performance.now() - request.since);
    }
    if (this.#paused && this.#inFlight < MAX_IN_FLIGHT && this.#ending === undefined) {
      this.#paused = false;
      native.fuseRead(this.#channel, true);
    }
    this.#closeIfDone();
  }

  /** It waited in vain for this process: whoever serves next answers it. */
  #leave(request: KernelRequest): void {
    request.answered();
    this.#active.delete(request.id);
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#ending !== undefined && this.#inFlight === 0 && this.#waiting.size === 0) this.#close(this.#ending);
  }

  /** Answers the errno of the reply; a reply that the kernel will not have goes out once more as EIO. */
  #send(request: KernelRequest, error: number, body: Buffer | readonly Buffer[] | undefined): number {
    const { uniqueLow, uniqueHigh } = request;
    const errno = native.fuseReply(this.#channel, uniqueLow, uniqueHigh, -error, error === 0 ? body : undefined);
    // ENOENT: interrupted or already answered by a predecessor. ENODEV: unmounted meanwhile.
    if (errno === 0 || errno === Errno.ENOENT || errno === Errno.ENODEV) return errno;
    this.#edge.once('the kernel refused a reply', { operation: request.name, errno });
    native.fuseReply(this.#channel, uniqueLow, uniqueHigh, -Errno.EIO);
    return errno;
  }

  #onEnd(errno: number): void {
    if (errno === Errno.ENODEV) this.#end('unmounted');
    else if (errno === Errno.ECONNABORTED) this.#end('aborted');
    else this.#fail(fail('EIO', `reading /dev/fuse failed with errno ${errno}`));
  }

  #end(reason: StopReason): void {
    if (this.#ending !== undefined) return;
    this.#ending = reason;
    native.fuseRead(this.#channel, false);
    this.#context.vfs.endSoon();
    // What is in flight is finished, although nobody may wait for it any more: data may hang on it.
    for (const request of this.#waiting) request.interrupt();
    this.#closeIfDone();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#end('aborted');
  }

  #close(reason: StopReason): void {
    native.fuseClose(this.#channel);
    const flushed = reason === 'stopped' ? Promise.resolve() : this.#context.vfs.flushAll();
    flushed.then(
      () => (this.#failure === undefined ? this.#settle.resolve(reason) : this.#settle.reject(this.#failure)),
      (error) => this.#settle.reject(error),
    );
  }

  async stopReading(): Promise<void> {
    this.#end('stopped');
    await this.stopped;
  }

  notifyInode(ino: Ino, offset: number, length: number): Promise<boolean> {
    return this.#notifier.inode(ino, offset, length);
  }

  notifyEntry(parent: Ino, name: Buffer): Promise<boolean> {
    const expireOnly = this.#state !== undefined && hasExpireOnly(this.#state);
    return this.#notifier.entry(parent, name, expireOnly);
  }

  stats(): SessionStats {
    return { requests: this.#requests, inFlight: this.#inFlight, batches: this.#batches, resent: this.#resent };
  }
}

export function startSession(options: SessionOptions): FuseSession {
  const session = new Session(options);
  session.start();
  return session;
}
