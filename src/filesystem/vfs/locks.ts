// flock and fcntl locks of this mount's users. The rows are the metadata's; here is who waits for one, what is to be given
// back when a file is closed, and what a lock means for the data: who gets one sees what the last holder wrote.
import { fail } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import { LOCK_END, type LockRange, LockType } from '../meta/lock-ranges.ts';
import type { LockAnswer, LockFamily, LockRequest } from '../meta/locks.ts';
import { type Core, fileHandle } from './core.ts';
import type { FileHandle } from './handles.ts';
import type { OpenInode } from './inodes.ts';
import { LockQueue } from './lock-queue.ts';
import { lockIsLost, refuseLostLock } from './loss.ts';
import type { FileLock, HandleId } from './vfs.ts';

/** A lock that could not be given back at a close is tried again this often. */
const RETRY_MS = 1000;

/** Owners of locks on one file, and the handles through which each asked. An owner here may hold nothing any more. */
type Owners = Map<bigint, Set<HandleId>>;

export class Locks {
  readonly #core: Core;
  readonly #held: Readonly<Record<LockFamily, Map<Ino, Owners>>> = { flock: new Map(), plock: new Map() };
  readonly #queues: Readonly<Record<LockFamily, Map<Ino, LockQueue>>> = { flock: new Map(), plock: new Map() };
  readonly #retries = new Set<NodeJS.Timeout>();

  constructor(core: Core) {
    this.#core = core;
    core.meta.onSessionLost(() => this.#lost());
  }

  /** A successor's: what its predecessor held is given back by the same closes. */
  async adopt(): Promise<void> {
    for (const { family, ino, owner } of await this.#core.meta.inheritedLocks()) this.#note(family, ino, owner);
  }

  async get(caller: Caller, ino: Ino, id: HandleId, lock: FileLock): Promise<LockRange | undefined> {
    const handle = await fileHandle(this.#core, caller, ino, id);
    return this.#core.meta.conflictingLock(requestOf(handle, lock));
  }

  /**
   * Answers whether another client changed the file since this one last looked: pages that the kernel has are old then.
   * EAGAIN when somebody else has it and `wait` is not set.
   */
  async set(caller: Caller, ino: Ino, id: HandleId, lock: FileLock, wait: boolean): Promise<boolean> {
    const handle = await fileHandle(this.#core, caller, ino, id);
    const request = requestOf(handle, lock);
    if (request.type === LockType.none) {
      await this.#unlock(handle.inode, request);
      return false;
    }
    // Noted first: whatever becomes of the answer, a close gives it back.
    this.#note(request.family, ino, request.owner).add(id);
    if (request.type === LockType.read && handle.inode.writer.dirty) await this.#publish(handle.inode);
    const answer = await this.#take(request, wait, caller.signal);
    return this.#refresh(handle.inode, answer);
  }

  async #take(request: LockRequest, wait: boolean, signal: AbortSignal | undefined): Promise<LockAnswer> {
    const answer = await this.#core.meta.setLock(request);
    // A lock made weaker, or a flock given up for another one, may be what somebody here waits for.
    this.#wake(request);
    if (answer.granted) return answer;
    if (!wait) throw fail('EAGAIN', `lock inode ${request.ino}: another ${request.family} is in the way`);
    return this.#queue(request).wait(request, signal);
  }

  /** close(2): the process gives up its fcntl locks on the file, whatever descriptor it closes. */
  closing(ino: Ino, owner: bigint): Promise<void> | undefined {
    return this.#giveBack({ family: 'plock', ino, owner: signed(owner), ...everything });
  }

  /** The last descriptor of an open file is closed. */
  releasing(ino: Ino, id: HandleId, owner: bigint): Promise<void> | undefined {
    return this.#giveBack({ family: 'flock', ino, owner: signed(owner ^ id), ...everything });
  }

  stop(): void {
    for (const timer of this.#retries) clearTimeout(timer);
  }

  /** Costs nothing for owners that never locked this file. */
  #giveBack(request: LockRequest): Promise<void> | undefined {
    if (this.#held[request.family].get(request.ino)?.has(request.owner) !== true) return undefined;
    return this.#drop(request).catch((thrown: unknown) => {
      this.#later(request);
      throw thrown;
    });
  }

  #later(request: LockRequest): void {
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      this.#drop(request).catch(() => this.#later(request));
    }, RETRY_MS).unref();
    this.#retries.add(timer);
  }

  async #unlock(inode: OpenInode, request: LockRequest): Promise<void> {
    if (inode.writer.dirty) await this.#publish(inode);
    await this.#drop(request);
  }

  async #drop(request: LockRequest): Promise<void> {
    const { family, ino, owner, start, end } = request;
    await this.#core.meta.setLock(request);
    if (family === 'flock' || (start === 0n && end === LOCK_END)) {
      const owners = this.#held[family].get(ino);
      owners?.delete(owner);
      if (owners?.size === 0) this.#held[family].delete(ino);
    }
    this.#wake(request);
  }

  /** What was written under a lock is there for the next holder, if that may be another client. */
  async #publish(inode: OpenInode): Promise<void> {
    if (await this.#core.meta.hasOtherSessions()) await inode.writer.drain();
  }

  /** The new holder sees what the last one wrote. */
  async #refresh(inode: OpenInode, { shared }: LockAnswer): Promise<boolean> {
    if (!shared) return false;
    const { meta, inodes } = this.#core;
    const since = inodes.now;
    return inode.lookAnew(await meta.getattr(inode.ino), since);
  }

  #handlesOf(ino: Ino, ids: ReadonlySet<HandleId>): FileHandle[] {
    const { files, lockLost } = this.#core;
    if (ids.size > 0) return [...ids].flatMap((id) => files.get(id) ?? []);
    // A predecessor's lock: through which of its handles is not known.
    lockLost.add(ino);
    return [...files.values()].filter(({ inherited, inode }) => inherited && inode.ino === ino);
  }

  /** Another client ended the session, and all locks with it: who had one must not go on as if it were still there. */
  #lost(): void {
    const lost = new Set<FileHandle>();
    for (const inodes of Object.values(this.#held)) {
      for (const [ino, owners] of inodes)
        for (const ids of owners.values()) for (const handle of this.#handlesOf(ino, ids)) lost.add(handle);
      inodes.clear();
    }
    for (const handle of lost) {
      handle.lockLost = true;
      // Written under it or beside it: the next holder may have read and written since.
      handle.inode.writer.abandon(lockIsLost(handle.inode.ino));
    }
    if (lost.size === 0) return;
    this.#core.log.error('locks lost with the session: the files must be opened again', { handles: lost.size });
  }

  #note(family: LockFamily, ino: Ino, owner: bigint): Set<HandleId> {
    const inodes = this.#held[family];
    let owners = inodes.get(ino);
    if (owners === undefined) {
      owners = new Map();
      inodes.set(ino, owners);
    }
    let ids = owners.get(owner);
    if (ids === undefined) {
      ids = new Set();
      owners.set(owner, ids);
    }
    return ids;
  }

  #queue({ family, ino }: LockRequest): LockQueue {
    const queues = this.#queues[family];
    let queue = queues.get(ino);
    if (queue === undefined) {
      queue = new LockQueue(this.#core.meta, () => queues.delete(ino));
      queues.set(ino, queue);
    }
    return queue;
  }

  #wake({ family, ino }: LockRequest): void {
    this.#queues[family].get(ino)?.wake();
  }
}

const signed = (owner: bigint): bigint => BigInt.asIntN(64, owner);

const everything = { type: LockType.none, start: 0n, end: LOCK_END, pid: 0 };

/** An flock belongs to the open file: the original client, too, mixes its handle into the kernel's owner. */
function requestOf(handle: FileHandle, lock: FileLock): LockRequest {
  const { id, inode } = handle;
  const { owner, start, end } = lock;
  refuseLostLock(handle);
  if (lock.flock) return { family: 'flock', ino: inode.ino, ...everything, type: lock.type, owner: signed(owner ^ id) };
  if (start < 0n || start > end || end > LOCK_END) throw fail('EINVAL', `lock bytes ${start} to ${end}: no range`);
  return { family: 'plock', ino: inode.ino, type: lock.type, start, end, pid: lock.pid, owner: signed(owner) };
}
