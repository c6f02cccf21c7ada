// The words of the metadata: attributes, directory entries, slices (spec sections 1, 4.6). Pure types and constants.
import type { Ino, SliceId } from '../../base/words.ts';

export type { Ino, SliceId };

export const ROOT: Ino = 1n;
/** Inode of the trash directory; hourly directories are TRASH + n. Above 2^53. */
export const TRASH: Ino = 0x7fffffff10000000n;
/** Bytes of a file that one chunk row covers. */
export const CHUNK_SIZE = 67_108_864;
/** Longest file: chunk indexes are 31 bits (spec 1.1). */
export const MAX_LENGTH = (1n << 57n) - 1n;

export const NodeType = { file: 1, directory: 2, symlink: 3, fifo: 4, block: 5, char: 6, socket: 7 } as const;
export type NodeType = (typeof NodeType)[keyof typeof NodeType];

/** node.flags bits. */
export const NodeFlag = { immutable: 0x01, append: 0x02, skipTrash: 0x20 } as const;

/** A node row. Times are nanoseconds since the epoch; `mode` has the low 12 bits only. */
export interface Attr {
  readonly ino: Ino;
  readonly type: NodeType;
  readonly flags: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
  readonly nlink: number;
  /** Bytes; beyond 2^53 too, so never narrowed. */
  readonly length: bigint;
  readonly rdev: number;
  /** 0 when the node has more than one parent. */
  readonly parent: Ino;
  readonly accessAcl: number;
  readonly defaultAcl: number;
  readonly tier: number;
  /** Not of the row: of a node that may have several parents, if it was counted. */
  readonly linksInTrash?: number;
}

export interface Dirent {
  readonly name: Buffer;
  readonly ino: Ino;
  readonly type: NodeType;
  /** Present when asked for. */
  readonly attr?: Attr;
}

/** One 24-byte record of a chunk row (spec 1.2). id 0 is a hole. */
export interface Slice {
  readonly pos: number;
  readonly id: SliceId;
  readonly size: number;
  readonly off: number;
  readonly len: number;
}

/** What setattr may change; absent fields stay. 'now' is the time of the operation. */
export interface AttrChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly atime?: bigint | 'now';
  readonly mtime?: bigint | 'now';
  readonly flags?: number;
}

export interface VolumeUsage {
  readonly totalBytes: bigint;
  readonly usedBytes: bigint;
  readonly totalInodes: bigint;
  readonly usedInodes: bigint;
}
