// Statements on pageseal_volume (what CSI made) and the directory and quota that belong to each row.
import { fail } from '../../base/errors.ts';
import { type Change, change, must, type Query, query } from '../sql/op.ts';
import { bigintAt, bytesAt, textAt } from './rows.ts';
import type { Ino } from './types.ts';

/** ready: directory, quota and row exist. deleting: set before anything is removed, never taken back. */
export type VolumeState = 'ready' | 'deleting';

export interface VolumeRow {
  readonly id: string;
  /** The request name that made it. */
  readonly request: string;
  readonly inode: Ino;
  /** Digest of the parameters: the same name with others is a conflict. */
  readonly params: string;
  /** Bytes; 0 is unlimited. */
  readonly capacity: bigint;
  readonly state: VolumeState;
}

const COLUMNS = 'id, request, inode, params, capacity, state';

function decodeVolume(row: Parameters<typeof textAt>[0]): VolumeRow {
  const state = textAt(row, 5);
  if (state !== 'ready' && state !== 'deleting') throw fail('metadata-damaged', `volume row: state ${state}`);
  return {
    id: textAt(row, 0),
    request: textAt(row, 1),
    inode: bigintAt(row, 2),
    params: textAt(row, 3),
    capacity: bigintAt(row, 4),
    state,
  };
}

export const volumeById = (id: string, lock = false): Query<VolumeRow> =>
  query(`SELECT ${COLUMNS} FROM pageseal_volume WHERE id = ?${lock ? ' FOR UPDATE' : ''}`, [id], decodeVolume);

/** Rows of volumes and snapshots, one of them excepted: a file system with any is in use. */
export const otherVolumes = (id: string): Query<bigint> =>
  query(
    'SELECT (SELECT COUNT(*) FROM pageseal_volume WHERE id <> ?) + (SELECT COUNT(*) FROM pageseal_snapshot)',
    [id],
    (row) => bigintAt(row, 0),
  );

export const insertVolume = (row: VolumeRow): Change =>
  change(
    `INSERT INTO pageseal_volume (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`,
    row.id,
    row.request,
    row.inode,
    row.params,
    row.capacity,
    row.state,
  );

const gone = (id: string) => () => fail('not-found', `volume ${id}: its row is gone`);

export const setVolumeState = (id: string, state: VolumeState): Change =>
  must(1, change('UPDATE pageseal_volume SET state = ? WHERE id = ?', state, id), gone(id));

export const setVolumeCapacity = (id: string, capacity: bigint): Change =>
  must(1, change('UPDATE pageseal_volume SET capacity = ? WHERE id = ?', capacity, id), gone(id));

export const deleteVolumeRow = (id: string): Change => change('DELETE FROM pageseal_volume WHERE id = ?', id);

export interface NamedEdge {
  readonly parent: Ino;
  readonly name: Buffer;
}

/** Where a directory hangs; directories have one edge. */
export const edgeOf = (ino: Ino): Query<NamedEdge> =>
  query('SELECT parent, BYTES(name) FROM jfs_edge WHERE inode = ?', [ino], (row) => ({
    parent: bigintAt(row, 0),
    name: bytesAt(row, 1),
  }));

/** Sessions that had not expired at `now` (seconds): somebody has the file system mounted. */
export const liveSessions = (now: bigint): Query<bigint> =>
  query('SELECT COUNT(*) FROM jfs_session2 WHERE expire >= ?', [now], (row) => bigintAt(row, 0));

export const allSessions: Query<bigint> = query('SELECT COUNT(*) FROM jfs_session2', [], (row) => bigintAt(row, 0));

/** Rows with figures that nobody has added yet. */
export const pendingUsage: Query<bigint> = query(
  'SELECT (SELECT COUNT(*) FROM pageseal_usage) + (SELECT COUNT(*) FROM pageseal_owner_usage)',
  [],
  (row) => bigintAt(row, 0),
);

/** The same without one of them, which is the asking tool's own. */
export const otherSessions = (sid: bigint, now: bigint): Query<bigint> =>
  query('SELECT COUNT(*) FROM jfs_session2 WHERE expire >= ? AND sid <> ?', [now, sid], (row) => bigintAt(row, 0));

/** Tables and counters only hold what a mounted file system needs: without its ledger no page of it opens again. */
export const deleteLedger = (): Change[] => [
  change('DELETE FROM pageseal_page'),
  change("DELETE FROM pageseal_setting WHERE name = 'ledger'"),
];
