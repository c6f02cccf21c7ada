// When looking at a node moves its atime (spec 5.1): the original client's three policies. Nothing else of the node moves.
import { type Op, read, write } from '../sql/op.ts';
import { nodeById, updateNode } from './statements.ts';
import type { Attr, Ino } from './types.ts';

export const atimeModes = ['noatime', 'relatime', 'strictatime'] as const;
export type AtimeMode = (typeof atimeModes)[number];

const SECOND = 1_000_000_000n;
/** relatime: once a day is enough for who wants to know whether a file is used at all. */
const DAY = 86_400n * SECOND;

/** strictatime moves it once a second at most: each time is a transaction. */
export function isAtimeDue({ atime, mtime, ctime }: Attr, mode: AtimeMode, now: bigint): boolean {
  if (mode === 'noatime') return false;
  if (mode === 'strictatime' && now - atime > SECOND) return true;
  return atime <= mtime || atime <= ctime || now - atime > DAY;
}

export const accessedOp = (ino: Ino, mode: AtimeMode, now: bigint): (() => Op<void>) =>
  function* () {
    const [[node]] = yield* read(nodeById(ino, true));
    if (node !== undefined && isAtimeDue(node, mode, now)) yield* write(updateNode(ino, { atime: now }));
  };
