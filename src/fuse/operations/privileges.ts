// The server's half of FUSE_HANDLE_KILLPRIV_V2: when a caller without CAP_FSETID writes to or truncates a file, its
// set-user-id bit goes, and its set-group-id bit if the group may execute it or the caller is not in the group; on a
// change of owner too. The kernel says when, and then asks no getxattr before each write. Capabilities of files, where the
// mount keeps them, go with every write and change of owner, whoever makes it.
import { readFileSync } from 'node:fs';
import { FsError } from '../../base/errors.ts';
import { type Caller, type Ino, NodeType, type Opened, type Vfs } from '../../filesystem/vfs/vfs.ts';

const CAPABILITY = 'security.capability';
const SETUID = 0o4000;
const SETGID = 0o2000;
const GROUP_EXECUTE = 0o010;
/** For how long an inode is known to carry no such bit; as long as attributes are believed. */
const BELIEVED_MS = 1000;
/** Inodes remembered; more begin anew, at the price of one getattr each. */
const MAX_KNOWN = 4096;

/**
 * The kernel tells the primary group only. Asked for a set-group-id file that its group may not execute, so hardly ever;
 * a caller whose process cannot be seen from here counts as no member.
 */
function isMember({ gid, pid }: Caller, group: number): boolean {
  if (gid === group) return true;
  try {
    const [, groups = ''] = /^Groups:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return groups.split(' ').includes(String(group));
  } catch {
    return false;
  }
}

/**
 * Who may write need not be who may change the mode. Not under the request's id, which is that of the write; doing this
 * twice does no harm.
 */
const rootFor = ({ pid }: Caller): Caller => ({ uid: 0, gid: 0, pid, umask: 0 });

function remember(until: Map<Ino, number>, ino: Ino, now: number): void {
  if (until.size >= MAX_KNOWN) until.clear();
  until.set(ino, now + BELIEVED_MS);
}

export class Privileges {
  readonly #vfs: Vfs;
  readonly #plainUntil = new Map<Ino, number>();
  readonly #incapableUntil = new Map<Ino, number>();

  constructor(vfs: Vfs) {
    this.#vfs = vfs;
  }

  /** The mode without what has to go, or undefined if nothing has to. `fsetid`: root is taken to have CAP_FSETID. */
  async reduced(caller: Caller, ino: Ino, fsetid: boolean): Promise<number | undefined> {
    const { attr } = await this.#vfs.getattr(caller, ino, undefined);
    if (attr.type !== NodeType.file) return undefined;
    let drop = attr.mode & SETUID;
    const runs = (attr.mode & GROUP_EXECUTE) !== 0;
    if ((attr.mode & SETGID) !== 0 && (runs || !((fsetid && caller.uid === 0) || isMember(caller, attr.gid))))
      drop |= SETGID;
    return drop === 0 ? undefined : attr.mode & ~drop;
  }

  /** The file is written to or truncated; `kill`: by one without CAP_FSETID. False when nothing can have to go. */
  lose(caller: Caller, ino: Ino, kill: boolean): false | Promise<void> {
    if (!this.#vfs.fileCapabilities) return kill && this.#dropIds(caller, ino);
    return this.#loseBoth(caller, ino, kill);
  }

  async #loseBoth(caller: Caller, ino: Ino, kill: boolean): Promise<void> {
    await this.strip(caller, ino);
    if (kill) await this.#dropIds(caller, ino);
  }

  async #dropIds(caller: Caller, ino: Ino): Promise<void> {
    const now = performance.now();
    if ((this.#plainUntil.get(ino) ?? 0) > now) return;
    const mode = await this.reduced(caller, ino, false);
    if (mode !== undefined) await this.#vfs.setattr(rootFor(caller), ino, { mode }, undefined);
    remember(this.#plainUntil, ino, now);
  }

  /** The file was just looked at. */
  opened(ino: Ino, { plain }: Opened): void {
    if (plain === true) remember(this.#plainUntil, ino, performance.now());
  }

  /** Capabilities go with every change of contents or owner. */
  async strip(caller: Caller, ino: Ino): Promise<void> {
    if (!this.#vfs.fileCapabilities) return;
    const now = performance.now();
    if ((this.#incapableUntil.get(ino) ?? 0) > now) return;
    try {
      await this.#vfs.removexattr(rootFor(caller), ino, CAPABILITY);
    } catch (thrown) {
      if (!(thrown instanceof FsError) || thrown.code !== 'ENODATA') throw thrown;
    }
    remember(this.#incapableUntil, ino, now);
  }

  /** The mode or an attribute changes: look again. */
  changed(ino: Ino): void {
    this.#plainUntil.delete(ino);
    this.#incapableUntil.delete(ino);
  }
}
