// The tree's part of the Meta interface: runs the operations, provides what they find missing (the hour's trash
// directory, a new access rule), and after the commit does what they leave to be done. Rules live in the operations.
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { Lru } from '../../base/lru.ts';
import type { Caller } from '../../base/words.ts';
import type { Op } from '../sql/op.ts';
import { addRuleOp, type KnownRule } from './acl-rows.ts';
import { type AtimeMode, accessedOp } from './atime.ts';
import type { MetaContext } from './context.ts';
import { createOp, type NewNode } from './create.ts';
import { linkOp } from './link.ts';
import { getattrOp, linksInTrashOp, lookupOp, readlinkOp } from './lookup.ts';
import type { CreateResult, Meta, Removing } from './meta.ts';
import { type Done, type Effects, Missing, type NamespaceEnv, type Want } from './outcome.ts';
import { readdirAtOp, readdirOp } from './readdir.ts';
import { renameOp } from './rename.ts';
import { attrReply, createReply, emptyReply, type Reply } from './request.ts';
import { rmdirOp } from './rmdir.ts';
import { setattrOp } from './setattr.ts';
import { type TrashHour, trashHourOp } from './trash.ts';
import { type Attr, type AttrChange, type Dirent, type Ino, NodeType } from './types.ts';
import { unlinkOp } from './unlink.ts';
import { counted, hourUsage } from './usage.ts';
import type { UsageDelta } from './usage-rows.ts';
import { getxattrOp, listxattrOp, removexattrOp, setxattrOp } from './xattr.ts';

/** Bytes of access control lists whose rows are known: a volume has a few, of some dozen bytes each. */
const KNOWN_RULES = 262_144;
/** Runs of one operation: it may miss the trash directory, then a rule, and both again when another client interferes. */
const MAX_RUNS = 5;

type Tree = Pick<
  Meta,
  | 'lookup' | 'getattr' | 'linksInTrash' | 'accessed' | 'setattr' | 'readlink' | 'create' | 'mknod' | 'mkdir' | 'symlink' | 'link' | 'rename'
  | 'unlink' | 'rmdir' | 'readdir' | 'readdirAt' | 'getxattr' | 'listxattr' | 'setxattr' | 'removexattr' | 'onTouched'
>; // biome-ignore format: a table reads better than a column

export class Namespace implements Tree {
  readonly #context: MetaContext;
  readonly #env: NamespaceEnv;
  readonly #rules = new Lru<string, KnownRule>(KNOWN_RULES, ({ key }) => key.length);
  #touched: (directories: readonly Attr[]) => void = () => undefined;
  /** The hour that is known to have its directory. */
  #trash: { readonly hour: string; readonly ino: Ino } | undefined;

  constructor(context: MetaContext) {
    this.#context = context;
    this.#env = {
      now: nowNs,
      usage: context.usage,
      get trashDays() {
        return context.setting.trashDays;
      },
      get enableAcl() {
        return context.setting.enableAcl;
      },
      get sid() {
        return context.sid;
      },
      isOpen: (ino) => context.files.isOpen(ino),
      trashDirectory: (hour) => (this.#trash?.hour === hour ? this.#trash.ino : undefined),
      knownRule: (key) => this.#rules.get(key),
      apply: (effects) => this.#apply(effects),
    };
  }

  async lookup(_caller: Caller, parent: Ino, name: Buffer): Promise<Attr> {
    return this.#context.engine.view(lookupOp(parent, name));
  }

  getattr(ino: Ino): Promise<Attr> {
    return this.#context.engine.view(getattrOp(ino));
  }

  linksInTrash(ino: Ino): Promise<number> {
    return this.#context.engine.view(linksInTrashOp(ino));
  }

  readlink(ino: Ino): Promise<Buffer> {
    return this.#context.engine.view(readlinkOp(ino));
  }

  accessed(ino: Ino, mode: AtimeMode): Promise<void> {
    return this.#context.engine.run(accessedOp(ino, mode, nowNs()), { looksItself: true });
  }

  readdir(ino: Ino, after: Buffer | undefined, limit: number, plus: boolean): Promise<Dirent[]> {
    return this.#context.engine.view(readdirOp(ino, after, limit, plus));
  }

  readdirAt(ino: Ino, position: number, limit: number, plus: boolean): Promise<Dirent[]> {
    return this.#context.engine.view(readdirAtOp(ino, position, limit, plus));
  }

  async getxattr(ino: Ino, name: string): Promise<Buffer> {
    return this.#context.engine.view(getxattrOp(this.#env, ino, name));
  }

  listxattr(ino: Ino): Promise<string[]> {
    return this.#context.engine.view(listxattrOp(this.#env, ino));
  }

  setattr(caller: Caller, ino: Ino, change: AttrChange): Promise<Attr> {
    return this.#run(caller, attrReply, () => setattrOp(this.#env, caller, ino, change));
  }

  async create(caller: Caller, parent: Ino, name: Buffer, mode: number, exclusive: boolean): Promise<CreateResult> {
    return this.#make(caller, parent, name, { type: NodeType.file, mode }, !exclusive);
  }

  async mknod(caller: Caller, parent: Ino, name: Buffer, type: NodeType, mode: number, rdev: number): Promise<Attr> {
    if (type === NodeType.directory || type === NodeType.symlink)
      throw fail('EINVAL', `mknod in directory ${parent}: node type ${type} has a call of its own`);
    return (await this.#make(caller, parent, name, { type, mode, rdev })).attr;
  }

  async mkdir(caller: Caller, parent: Ino, name: Buffer, mode: number): Promise<Attr> {
    return (await this.#make(caller, parent, name, { type: NodeType.directory, mode })).attr;
  }

  async symlink(caller: Caller, parent: Ino, name: Buffer, target: Buffer): Promise<Attr> {
    return (await this.#make(caller, parent, name, { type: NodeType.symlink, target })).attr;
  }

  link(caller: Caller, ino: Ino, parent: Ino, name: Buffer): Promise<Attr> {
    return this.#run(caller, attrReply, () => linkOp(this.#env, caller, ino, parent, name));
  }

  async rename(
    caller: Caller,
    parent: Ino,
    name: Buffer,
    newParent: Ino,
    newName: Buffer,
    flags: number,
  ): Promise<void> {
    const args = { parent, name, newParent, newName, flags };
    await this.#run(caller, emptyReply, () => renameOp(this.#env, caller, args));
  }

  unlink(caller: Caller, parent: Ino, name: Buffer, how?: Removing): Promise<void> {
    return this.#run(caller, emptyReply, () => unlinkOp(this.#removing(how), caller, parent, name));
  }

  rmdir(caller: Caller, parent: Ino, name: Buffer, how?: Removing): Promise<void> {
    return this.#run(caller, emptyReply, () => rmdirOp(this.#removing(how), caller, parent, name));
  }

  setxattr(caller: Caller, ino: Ino, name: string, value: Buffer, flags: number): Promise<void> {
    return this.#run(caller, emptyReply, () => setxattrOp(this.#env, caller, ino, name, value, flags));
  }

  removexattr(caller: Caller, ino: Ino, name: string): Promise<void> {
    return this.#run(caller, emptyReply, () => removexattrOp(this.#env, caller, ino, name));
  }

  onTouched(listener: (directories: readonly Attr[]) => void): void {
    this.#touched = listener;
  }

  #removing({ skipTrash }: Removing = {}): NamespaceEnv {
    if (skipTrash !== true) return this.#env;
    return Object.create(this.#env, { trashDays: { value: 0 } }) as NamespaceEnv;
  }

  async #make(caller: Caller, parent: Ino, name: Buffer, node: NewNode, openExisting = false): Promise<CreateResult> {
    const ino = await this.#context.newInode();
    const args = { parent, name, node, ino, openExisting };
    return this.#run(caller, createReply, () => createOp(this.#env, caller, args));
  }

  /** `prepare` checks what needs no database, so a failure of it is a rejection too. */
  async #run<T>(caller: Caller, reply: Reply<T>, prepare: () => () => Op<Done<T>>): Promise<T> {
    // An operation that answers Missing has written nothing, so only real answers are ever encoded.
    const wide: Reply<T | Missing> = { encode: (answer) => reply.encode(answer as T), decode: reply.decode };
    const operation = prepare();
    for (let run = 0; run < MAX_RUNS; run += 1) {
      const answer = await this.#context.write(caller, wide, operation);
      if (!(answer instanceof Missing)) return answer;
      await this.#provide(answer.want);
    }
    throw fail('EAGAIN', `the operation found something missing ${MAX_RUNS} times`);
  }

  async #provide(want: Want): Promise<void> {
    const { usage } = this.#context;
    if (want.what === 'rule') return this.#context.repeat(addRuleOp(want.rule));
    const deltas = (hour: TrashHour): readonly UsageDelta[] => (hour.created ? [hourUsage(1n)] : []);
    const operation = trashHourOp(want.hour, this.#env.now());
    const hour = await this.#context.repeat(() => counted(usage, operation, deltas));
    usage.applied(deltas(hour));
    const { ino } = hour;
    this.#trash = { hour: want.hour, ino };
  }

  #apply(effects: Effects): void {
    const { files } = this.#context;
    if (effects.directories !== undefined) this.#touched(effects.directories);
    if (effects.rule !== undefined) this.#rules.set(effects.rule.key, effects.rule);
    if (effects.sustained !== undefined) files.sustained(effects.sustained);
    if (effects.deleted !== undefined) this.#context.deleteData(effects.deleted);
  }
}
