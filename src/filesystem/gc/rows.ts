// What waits in the metadata to be cleaned up: counted for a dry run, and cleaned up beyond what mounts do by themselves
// (trees of clones that were never finished, ledger rows of slices that are gone).
import { nowNs } from '../../base/clock.ts';
import type { OpenedMeta } from '../meta/open-meta.ts';
import { bigintAt, numberAt } from '../meta/rows.ts';
import { sumOf } from '../meta/space.ts';
import { hourOf } from '../meta/trash-expiry.ts';
import { TRASH } from '../meta/types.ts';
import { change, type Engine, type Op, query, read, write } from '../sql/op.ts';

/** A clone that took longer than this was given up (spec 5.14). */
const DETACHED_SECONDS = 86_400n;
const DAY_SECONDS = 86_400n;
/** As in the trash's own job: an hour's directory is used for up to an hour, and clocks differ. */
const EXTRA_HOURS_MS = 2 * 3_600_000;
const PAGE = 1000n;

export interface Counted {
  readonly count: number;
  readonly bytes: number;
}

export interface WaitingRows {
  /** Deleted files whose data is still there. */
  readonly deletedFiles: Counted;
  /** Entries of delslices that the trash need not keep any longer, and all of them. */
  readonly delayedDue: number;
  readonly delayed: number;
  /** Hours of the trash that are older than it keeps them. */
  readonly expiredHours: number;
  readonly detachedTrees: number;
}

const nowSeconds = (): bigint => nowNs() / 1_000_000_000n;

export function waitingRows(engine: Engine, trashDays: number): Promise<WaitingRows> {
  const now = nowSeconds();
  const one = (sql: string, ...params: bigint[]) => query(sql, params, (row) => numberAt(row, 0));
  const due = now - BigInt(trashDays) * DAY_SECONDS;
  const limit = Number(now) * 1000 - trashDays * Number(DAY_SECONDS) * 1000 - EXTRA_HOURS_MS;
  return engine.view(function* (): Op<WaitingRows> {
    const [files, delayed, delayedDue, hours, detached] = yield* read(
      query(`SELECT COUNT(*), ${sumOf('length')} FROM jfs_delfile`, [], (row) => ({
        count: numberAt(row, 0),
        bytes: numberAt(row, 1),
      })),
      one('SELECT COUNT(*) FROM jfs_delslices'),
      one('SELECT COUNT(*) FROM jfs_delslices WHERE deleted < ?', due),
      query('SELECT BYTES(name) FROM jfs_edge WHERE parent = ?', [TRASH], (row) =>
        hourOf(Buffer.from(row[0] as Uint8Array)),
      ),
      one('SELECT COUNT(*) FROM jfs_detached_node WHERE added < ?', now - DETACHED_SECONDS),
    );
    return {
      deletedFiles: files[0] ?? { count: 0, bytes: 0 },
      delayed: delayed[0] ?? 0,
      delayedDue: delayedDue[0] ?? 0,
      expiredHours: hours.filter((time) => time !== undefined && time < limit).length,
      detachedTrees: detached[0] ?? 0,
    };
  });
}

/** Trees of clones that were begun long ago and never got a name. Answers how many went. */
export async function removeDetached(meta: OpenedMeta): Promise<number> {
  const before = nowSeconds() - DETACHED_SECONDS;
  let removed = 0;
  for (const ino of await meta.detached(before)) if (await meta.removeDetached(ino, before)) removed++;
  return removed;
}

/** A ledger row is written in the transaction that counts its slice, and means nothing without that count. */
const ORPHANED = `NOT EXISTS (SELECT 1 FROM jfs_chunk_ref r WHERE r.chunkid = pageseal_page.slice_id AND CAST(pageseal_page.indx AS BIGINT) * ? < r.size)`;

export function countOrphanedLedgerRows(engine: Engine, pageSize: number): Promise<number> {
  return engine.view(function* (): Op<number> {
    const [[count = 0]] = yield* read(
      query(`SELECT COUNT(*) FROM pageseal_page WHERE ${ORPHANED}`, [BigInt(pageSize)], (row) => numberAt(row, 0)),
    );
    return count;
  });
}

/** Some slices at a time, so that no transaction is long. */
export async function deleteOrphanedLedgerRows(engine: Engine, pageSize: number): Promise<void> {
  const size = BigInt(pageSize);
  for (let after = -1n; ; ) {
    const text = `SELECT DISTINCT slice_id FROM pageseal_page WHERE slice_id > ? AND ${ORPHANED} ORDER BY slice_id LIMIT ?`;
    const slices = await engine.view(function* (): Op<bigint[]> {
      const [found] = yield* read(query(text, [after, size, PAGE], (row) => bigintAt(row, 0)));
      return found;
    });
    after = slices.at(-1) ?? after;
    if (slices.length === 0) return;
    await engine.run(function* (): Op<void> {
      yield* write(
        ...slices.map((id) => change(`DELETE FROM pageseal_page WHERE slice_id = ? AND ${ORPHANED}`, id, size)),
      );
    });
  }
}
