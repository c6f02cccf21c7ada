// One node of a clone: a node with a number of its own and everything that hangs on its source. Data is shared: chunk
// rows are copied as they are, and each record counts as one more reference to its slice (spec 5.7).
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Change, change, type Flight, must, query, read } from '../sql/op.ts';
import type { AclRule } from './acl.ts';
import { ruleById } from './acl-rows.ts';
import { isRoot, mayAccess } from './permission.ts';
import type { References } from './references.ts';
import { bytesAt, numberAt } from './rows.ts';
import { decodeSlices } from './slices.ts';
import { insertDirStats, insertNode } from './statements.ts';
import { type Attr, type Ino, NodeType } from './types.ts';

export interface CloneHow {
  readonly caller: Caller;
  /** Supplementary groups of the caller. */
  readonly groups?: readonly number[];
  /** Owner, mode and times stay; else they are those of something that the caller makes now. */
  readonly preserve: boolean;
}

/** Chunk rows of a file per flight of reads. */
const CHUNK_ROWS = 500n;
const FIRST = -1n;
/** access(2)'s bits. */
const READ = 4;
const READ_AND_SEARCH = 5;

/** A hard link becomes a file of its own, as with the original client. */
export function clonedAttr(source: Attr, ino: Ino, parent: Ino, { caller, preserve }: CloneHow, now: bigint): Attr {
  const copy = { ...source, ino, parent, nlink: source.type === NodeType.directory ? 2 : 1 };
  if (preserve) return copy;
  const { uid, gid, umask } = caller;
  return { ...copy, uid, gid, mode: source.mode & ~umask, atime: now, mtime: now, ctime: now };
}

/** Who is in several groups may do what any of them may. */
export const mayDo = (attr: Attr, { caller, groups = [] }: CloneHow, mask: number, rule?: AclRule): boolean =>
  [caller.gid, ...groups].some((gid) => mayAccess(attr, { ...caller, gid }, mask, rule));

/** What is copied has to be readable for the caller, directories searchable as well. */
export function* checkReadable(source: Attr, how: CloneHow): Generator<Flight, void, unknown> {
  const { caller } = how;
  if (isRoot(caller) || source.type === NodeType.symlink) return;
  const [[rule]] = source.accessAcl === 0 ? [[undefined]] : yield* read(ruleById(source.accessAcl));
  if (mayDo(source, how, source.type === NodeType.directory ? READ_AND_SEARCH : READ, rule)) return;
  throw fail('EACCES', `clone inode ${source.ino}: user ${caller.uid} may not read it`);
}

/** Everything but the entry. `source` is locked: nobody changes its chunks meanwhile. */
export function* copyOf(source: Attr, copy: Attr, references: References): Generator<Flight, Change[], unknown> {
  const changes = [insertNode(copy), copyXattrs(source.ino, copy.ino)];
  if (source.type === NodeType.directory) changes.push(insertDirStats(copy.ino));
  if (source.type === NodeType.symlink) changes.push(copySymlink(source.ino, copy.ino));
  if (source.type === NodeType.file) {
    yield* countReferences(source.ino, references);
    changes.push(copyChunks(source.ino, copy.ino));
  }
  return changes;
}

function* countReferences(ino: Ino, references: References): Generator<Flight, void, unknown> {
  for (let after = FIRST; ; ) {
    const text =
      'SELECT indx, BYTES(slices) FROM jfs_chunk WHERE inode = ? AND indx > ? ORDER BY indx LIMIT ? FOR UPDATE';
    const [rows] = yield* read(
      query(text, [ino, after, CHUNK_ROWS], (row) => ({ indx: numberAt(row, 0), slices: bytesAt(row, 1) })),
    );
    for (const { indx, slices } of rows) {
      after = BigInt(indx);
      for (const { id, size } of decodeSlices(slices, `chunk ${indx} of inode ${ino}`))
        if (id !== 0n) references.add(id, size);
    }
    if (rows.length < CHUNK_ROWS) return;
  }
}

const copyXattrs = (from: Ino, to: Ino): Change =>
  change(
    'INSERT INTO jfs_xattr (inode, name, value) SELECT CAST(? AS BIGINT), name, BYTES(value) FROM jfs_xattr WHERE inode = ?',
    to,
    from,
  );

const copyChunks = (from: Ino, to: Ino): Change =>
  change(
    'INSERT INTO jfs_chunk (inode, indx, slices) SELECT CAST(? AS BIGINT), indx, BYTES(slices) FROM jfs_chunk WHERE inode = ?',
    to,
    from,
  );

const copySymlink = (from: Ino, to: Ino): Change =>
  must(
    1,
    change(
      'INSERT INTO jfs_symlink (inode, target) SELECT CAST(? AS BIGINT), BYTES(target) FROM jfs_symlink WHERE inode = ?',
      to,
      from,
    ),
    () => fail('metadata-damaged', `clone the symbolic link ${from}: its target is missing`),
  );
