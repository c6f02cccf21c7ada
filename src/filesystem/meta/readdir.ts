// Pages of a directory in byte order of names: behind a name, or from a position. Entries whose node or name is missing
// are damage and left out, in both forms, so that positions mean the same in both.
import { type Op, type Query, query, read } from '../sql/op.ts';
import { decodeDirent, seenColumns } from './rows.ts';
import type { Dirent, Ino } from './types.ts';

const FIRST = Buffer.alloc(0);

function page(plus: boolean, tail: string, ...params: readonly (bigint | Buffer)[]): Query<Dirent> {
  const entry = 'SELECT BYTES(e.name), e.inode, e.type';
  const text = plus
    ? `${entry}, ${seenColumns('n')} FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode WHERE e.parent = ?`
    : `${entry} FROM jfs_edge e WHERE e.parent = ? AND EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = e.inode)`;
  return query(`${text} ${tail}`, params, decodeDirent);
}

export const readdirOp = (ino: Ino, after: Buffer | undefined, limit: number, plus: boolean): (() => Op<Dirent[]>) =>
  function* () {
    const tail = 'AND e.name > ? ORDER BY e.name LIMIT ?';
    const [entries] = yield* read(page(plus, tail, ino, after ?? FIRST, BigInt(limit)));
    return entries;
  };

export const readdirAtOp = (ino: Ino, position: number, limit: number, plus: boolean): (() => Op<Dirent[]>) =>
  function* () {
    const tail = 'AND e.name > ? ORDER BY e.name LIMIT ? OFFSET ?';
    const [entries] = yield* read(page(plus, tail, ino, FIRST, BigInt(limit), BigInt(position)));
    return entries;
  };
