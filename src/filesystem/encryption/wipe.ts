// Wipes a file system under the lock of a conversion, by name of its UUID: objects first, then rows, then a mark that it is
// done. What was begun can only be finished, however often it is cut short; the record stays.
import { nowNs, nowSeconds } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { conversionRows, insertLockRow, type StepRow, steps } from '../meta/conversion-lock.ts';
import type { Owner } from '../meta/ledger-setting.ts';
import { bigintAt } from '../meta/rows.ts';
import { counterValue } from '../meta/statements.ts';
import { ROOT, TRASH } from '../meta/types.ts';
import { lockFigures } from '../meta/usage-rows.ts';
import { wipeObjects } from '../removal/wipe.ts';
import { type Change, change, type Engine, type Op, query, read, write } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { openStore } from '../store/open-store.ts';
import { storeSettings } from '../store-settings.ts';
import { allSessions, liveSessionsAmong } from './sessions.ts';
import { knownStanding, lockOf, refuseOtherOwner } from './standing.ts';
import type { FileSystemPlace, Wiped } from './words.ts';

export interface WipeFileSystemOptions {
  readonly owner: Owner;
  /** Compared with the record's at this moment; after the conversion the file system has another one. */
  readonly confirmUuid: string;
  /** Objects that went in this call. */
  readonly onProgress?: (objectsRemoved: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Where `confirmNoSessions` has found nobody. Rejects failed-precondition (not confirmed, volumes of a cluster), bad-input
 * (another UUID; nothing is touched), refused, and cancelled by the signal.
 */
export async function wipe(place: FileSystemPlace, options: WipeFileSystemOptions): Promise<Wiped> {
  const { owner, confirmUuid, onProgress, signal } = options;
  const engine = await openEngine(place.metaUrl);
  try {
    const standing = await knownStanding(engine);
    const { setting, lock } = standing;
    const { name, uuid } = setting;
    refuseOtherOwner('wipe', standing, owner);
    if (confirmUuid.toLowerCase() !== uuid)
      throw fail('bad-input', `wipe file system ${name}: its UUID is ${uuid}, not ${confirmUuid}`, {
        hint: 'nothing was changed; give the UUID of the file system that is to be wiped',
      });
    if (lock?.steps.has('confirmed') !== true) throw notConfirmed(name);
    const done = lock.steps.get('wiped');
    if (done !== undefined) return { kind: 'wiped', uuid, objectsRemoved: Number(done.record.toString()) };
    await engine.run(() => begin(name, uuid), { durable: true, looksItself: true });
    const store = await openStore(storeSettings(standing, place.store));
    let objectsRemoved = 0;
    try {
      objectsRemoved = await wipeObjects(store, name, { ...(onProgress && { onProgress }), ...(signal && { signal }) });
    } finally {
      await store.close();
    }
    await wipeRows(engine, signal);
    await engine.run(() => end(objectsRemoved), { durable: true, looksItself: true });
    return { kind: 'wiped', uuid, objectsRemoved };
  } finally {
    await engine.close();
  }
}

const notConfirmed = (name: string): Error =>
  fail('failed-precondition', `wipe file system ${name}: it is not certain yet that nobody has it mounted`, {
    hint: 'begin a conversion, and wait for it to find nobody',
  });

function* begin(name: string, uuid: string): Op<void> {
  const [, , rows, sessions, [volumes = 0n]] = yield* read(
    lockFigures,
    counterValue('nextSession', true),
    conversionRows,
    allSessions,
    query('SELECT COUNT(*) FROM pageseal_volume', [], (row) => bigintAt(row, 0)),
  );
  const lock = lockOf(rows);
  if (lock?.steps.has('confirmed') !== true) throw notConfirmed(name);
  if (liveSessionsAmong(sessions, nowSeconds()).length > 0) throw notConfirmed(name);
  if (volumes > 0n)
    throw fail('failed-precondition', `wipe file system ${name}: ${volumes} volumes of a cluster are in it`, {
      hint: 'delete their claims first; nothing was wiped',
    });
  if (!lock.steps.has('wiping')) yield* write(insertLockRow(steps.wiping, Buffer.from(uuid), nowNs()));
}

/** Rows per transaction: nobody else is there to be kept waiting, but a journal has to hold them. */
const BATCH = 20_000n;

/** Table, key, and what stays of it. */
const emptied: readonly (readonly [table: string, key: string, except?: string])[] = [
  ['pageseal_page', 'slice_id'],
  ['jfs_edge', 'id'],
  ['jfs_symlink', 'inode'],
  ['jfs_xattr', 'id'],
  ['jfs_chunk', 'id'],
  ['jfs_chunk_ref', 'chunkid'],
  ['jfs_delslices', 'chunkid'],
  ['jfs_delfile', 'inode'],
  ['jfs_sustained', 'id'],
  ['jfs_flock', 'id'],
  ['jfs_plock', 'id'],
  ['jfs_dir_quota', 'inode', `inode <> ${ROOT}`],
  ['jfs_dir_stats', 'inode', `inode <> ${ROOT}`],
  ['jfs_user_group_quota', 'qkey', 'max_space <= 0 AND max_inodes <= 0'],
  ['jfs_detached_node', 'inode'],
  ['jfs_session2', 'sid'],
  ['jfs_change_log', 'id'],
  ['pageseal_snapshot', 'id'],
  ['pageseal_request', 'mount'],
  ['pageseal_usage', 'sid'],
  ['pageseal_owner_usage', 'sid'],
  ['pageseal_lease', 'inode'],
  ['jfs_node', 'inode', `inode <> ${ROOT} AND inode <> ${TRASH}`],
];

async function wipeRows(engine: Engine, signal: AbortSignal | undefined): Promise<void> {
  for (const [table, key, except = '1 = 1'] of emptied) {
    const some = query(`SELECT ${key} FROM ${table} WHERE ${except} LIMIT 1`, [], () => true);
    const gone = change(
      `DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table} WHERE ${except} LIMIT ?) AND ${except}`,
      BATCH,
    );
    for (;;) {
      signal?.throwIfAborted();
      const more = await engine.run(function* (): Op<boolean> {
        const [found] = yield* read(some);
        if (found.length === 0) return false;
        yield* write(gone);
        return true;
      });
      if (!more) break;
    }
  }
}

/** Numbers go on where they were: an id of before never comes again. */
const figures: readonly Change[] = [
  change("UPDATE jfs_counter SET value = 0 WHERE name IN ('usedSpace', 'totalInodes')"),
  change(`UPDATE jfs_node SET nlink = 2 WHERE inode = ${ROOT}`),
  change(`UPDATE jfs_dir_stats SET data_length = 0, used_space = 0, used_inodes = 0 WHERE inode = ${ROOT}`),
  change('UPDATE jfs_dir_quota SET used_space = 0, used_inodes = 0'),
  change('UPDATE jfs_user_group_quota SET used_space = 0, used_inodes = 0'),
];

function* end(objectsRemoved: number): Op<void> {
  const [rows] = yield* read(conversionRows);
  const lock = lockOf(rows);
  const isDone = (step: StepRow): boolean => lock?.steps.has(step) === true;
  if (!isDone('wiping')) throw fail('conflict', 'wipe: somebody else has ended the conversion');
  if (isDone('wiped')) return;
  yield* write(...figures, insertLockRow(steps.wiped, Buffer.from(String(objectsRemoved)), nowNs()));
}
