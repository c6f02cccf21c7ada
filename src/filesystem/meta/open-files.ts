// Unlinked files that somebody has open: a node with nlink 0 and a sustained row of the session. They go with the last
// close, with the session, or for files of a predecessor when the kernel forgets the inode.
import { nowNs } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { type Change, change, type Engine, type Op, query, read, write } from '../sql/op.ts';
import type { OpenFiles } from './context.ts';
import { nodeDelta } from './outcome.ts';
import { bigintAt } from './rows.ts';
import { deleteNode, insertDelfile, nodeById } from './statements.ts';
import type { Ino } from './types.ts';
import type { Usage } from './usage.ts';
import type { UsageDelta } from './usage-rows.ts';

/** Rows per look at a session's files. */
const PAGE = 1000n;

export function* sustainedOf(sid: bigint): Op<Ino[]> {
  const [inodes] = yield* read(
    query('SELECT inode FROM jfs_sustained WHERE sid = ? ORDER BY id LIMIT ?', [sid, PAGE], (row) => bigintAt(row, 0)),
  );
  return inodes;
}

const deleteSustained = (sid: bigint, ino: Ino): Change =>
  change('DELETE FROM jfs_sustained WHERE sid = ? AND inode = ?', sid, ino);

/** A session goes on under another id. */
export const moveSustained = (from: bigint, to: bigint): Change =>
  change('UPDATE jfs_sustained SET sid = ? WHERE sid = ?', to, from);

/** The file's node becomes a delfile row; `deleted` may then delete its data. Fine when it is gone already. */
export async function dropSustained(
  engine: Engine,
  usage: Usage,
  sid: bigint,
  ino: Ino,
  deleted: (ino: Ino) => void,
): Promise<void> {
  const dropped = await engine.run(function* (): Op<UsageDelta | undefined> {
    const [[attr]] = yield* read(nodeById(ino, true));
    // With a name it is no longer ours to delete: another client may have restored it.
    if (attr === undefined || attr.nlink > 0) {
      yield* write(deleteSustained(sid, ino));
      return undefined;
    }
    const delta = nodeDelta(attr, -1n, { volume: true });
    const rows = [insertDelfile(ino, attr.length, nowNs()), deleteSustained(sid, ino), ...deleteNode(ino)];
    yield* write(...rows, ...usage.changes([delta]));
    return delta;
  });
  if (dropped === undefined) return;
  usage.applied([dropped]);
  deleted(ino);
}

/**
 * Counts handles; see Meta.opened. A successor cannot count its predecessor's: for it any file may be open, and what is
 * unlinked stays until the kernel forgets the inode, which it does once nothing holds a file without a name.
 */
export class OpenFileTable implements OpenFiles {
  readonly #counts = new Map<Ino, number>();
  readonly #sustained = new Set<Ino>();
  readonly #drop: (ino: Ino) => Promise<void>;
  readonly #log: Log;
  #successor = false;

  constructor(drop: (ino: Ino) => Promise<void>, log: Log) {
    this.#drop = drop;
    this.#log = log;
  }

  /** A successor's: files that its predecessor kept. */
  adopt(inodes: readonly Ino[]): void {
    this.#successor = true;
    for (const ino of inodes) this.#sustained.add(ino);
  }

  isOpen(ino: Ino): boolean {
    return this.#successor || this.#counts.has(ino) || this.#sustained.has(ino);
  }

  /** Handles may all have been closed while the unlink was under way. */
  sustained(ino: Ino): void {
    this.#sustained.add(ino);
    if (!this.#successor && !this.#counts.has(ino)) this.#dropLater(ino);
  }

  opened(ino: Ino): void {
    this.#counts.set(ino, (this.#counts.get(ino) ?? 0) + 1);
  }

  async closed(ino: Ino): Promise<void> {
    const left = (this.#counts.get(ino) ?? 0) - 1;
    if (left > 0) {
      this.#counts.set(ino, left);
      return;
    }
    this.#counts.delete(ino);
    if (!this.#successor && this.#sustained.delete(ino)) await this.#drop(ino);
  }

  /** Unlinked files that a successor keeps because its predecessor may have had them open. */
  get keptForOthers(): Ino[] {
    return this.#successor ? [...this.#sustained].filter((ino) => !this.#counts.has(ino)) : [];
  }

  forgotten(ino: Ino): void {
    if (this.#sustained.has(ino) && !this.#counts.has(ino)) this.#dropLater(ino);
  }

  #dropLater(ino: Ino): void {
    this.#sustained.delete(ino);
    this.#drop(ino).catch((thrown: unknown) => {
      // The row stays, and goes with the session.
      this.#log.warn('unlinked file not deleted yet', { ino, reason: String(thrown) });
    });
  }
}
