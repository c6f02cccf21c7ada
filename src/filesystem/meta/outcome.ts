// What the tree's operations need from outside, and what they leave to be done after their commit. They have no outside
// effects themselves: they answer these values, and namespace.ts acts on them.
import { align4K } from '../../base/units.ts';
import type { Op, Query } from '../sql/op.ts';
import type { AclRule } from './acl.ts';
import type { KnownRule } from './acl-rows.ts';
import type { Growth, Limit } from './limits.ts';
import type { QuotaRow } from './quota-rows.ts';
import type { Outcome } from './request.ts';
import { type Attr, type Ino, NodeType } from './types.ts';
import type { Growing } from './usage.ts';
import type { OwnerDelta, UsageDelta } from './usage-rows.ts';

/** Facts that change while a volume is mounted, asked afresh by each run of an operation. */
export interface NamespaceEnv {
  /** Nanoseconds since the epoch. */
  now(): bigint;
  readonly trashDays: number;
  readonly enableAcl: boolean;
  /** 0 for tools without a session: they cannot keep unlinked files. */
  readonly sid: bigint;
  /** Whether this client holds handles of the file. */
  isOpen(ino: Ino): boolean;
  readonly usage: UsageChecks;
  /** The trash directory of that hour, if it is known. */
  trashDirectory(hour: string): Ino | undefined;
  /** An access control list that was seen before. */
  knownRule(key: string): KnownRule | undefined;
  /** What is to be done in memory after the commit. */
  apply(effects: Effects): void;
}

/** Limits: asked for in an operation's first flight, kept before it writes. */
export interface UsageChecks {
  limitsOf(growing: Growing): Query<Limit>[];
  quotasAbove(from: Ino, to: Ino): Query<{ readonly origin: Ino; readonly quota: QuotaRow }> | undefined;
  checkGrowth(limits: readonly Limit[], growth: Growth): Op<void>;
}

export interface Effects {
  /** Changes of the usage figures (spec 5.10). */
  readonly usage: readonly UsageDelta[];
  /** In delfile now: its data can be deleted. */
  readonly deleted?: Ino;
  /** Unlinked while open: goes with its last handle. */
  readonly sustained?: Ino;
  /** Directories whose entries changed, as they are then unless others change them meanwhile. */
  readonly directories?: readonly Attr[];
  /** A row that was found. */
  readonly rule?: KnownRule | undefined;
}

export type Want =
  | { readonly what: 'trash-hour'; readonly hour: string }
  | { readonly what: 'rule'; readonly rule: AclRule };

/** The operation wrote nothing: provide this and run it again. */
export class Missing {
  readonly want: Want;

  constructor(want: Want) {
    this.want = want;
  }
}

export type Done<T> = Outcome<T | Missing>;

export const done = <T>(env: NamespaceEnv, answer: T, effects: Effects = { usage: [] }): Done<T> => ({
  answer,
  usage: effects.usage,
  after: () => env.apply(effects),
});

/** A directory after `touch`. */
export const touched = (directory: Attr, now: bigint, links = 0): Attr => ({
  ...directory,
  mtime: now,
  ctime: now,
  nlink: directory.nlink + links,
});

/** What a node adds to its directory's data_length. */
const dataLength = (attr: Attr): bigint => (attr.type === NodeType.file ? attr.length : 0n);

/** One node more (1) or less (-1) somewhere; the rest says where. In the volume's totals it counts for its owner too. */
export const nodeDelta = (
  attr: Attr,
  sign: 1n | -1n,
  where: Omit<UsageDelta, 'length' | 'space' | 'inodes' | 'owner'>,
): UsageDelta => ({
  ...where,
  length: sign * dataLength(attr),
  space: sign * align4K(dataLength(attr)),
  inodes: sign,
  ...(where.volume === true && { owner: ownedBy(attr, sign) }),
});

/** What the node counts for its owner. */
export function ownedBy(attr: Pick<Attr, 'uid' | 'gid' | 'type' | 'length'>, sign: 1n | -1n): OwnerDelta {
  const { uid, gid, type } = attr;
  if (type === NodeType.directory) return { uid, gid, space: sign * align4K(0n), inodes: sign };
  if (type !== NodeType.file) return { uid, gid, space: 0n, inodes: 0n };
  return { uid, gid, space: sign * align4K(attr.length), inodes: sign };
}
