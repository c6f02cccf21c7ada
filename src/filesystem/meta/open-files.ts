// Unlinked files that somebody has open: a node with nlink 0 and a sustained row of each session that may have it open. A
// row goes with the last close, with the session, or for files of a predecessor when the kernel forgets the inode; the
// node goes with the last row. Who unlinks a file cannot know whether another mount has it open, so each mount of ours
// gets a row, and drops it at its next heartbeat unless it has. The original client knows nothing of that: it looks after
// what it unlinks itself, and takes a node away without asking for other rows, which then name nothing.
import { nowNs } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { type Change, change, type Engine, type Op, type Query, query, read, write } from '../sql/op.ts';
import type { OpenFiles } from './context.ts';
import { nodeDelta } from './outcome.ts';
import { bigintAt, bytesAt } from './rows.ts';
import { deleteNode, insertDelfile, nodeById } from './statements.ts';
import type { Ino } from './types.ts';
import type { Usage } from './usage.ts';
import type { UsageDelta } from './usage-rows.ts';

/** Rows per look at a session's files. */
const PAGE = 1000n;
/** Rows given up at the same time: their transactions then share commits. */
const PARALLEL = 64;

/** The first rows of a session behind an inode, in ascending order. */
export function* sustainedOf(sid: bigint, after: Ino = 0n): Op<Ino[]> {
  const [inodes] = yield* read(
    query(
      'SELECT inode FROM jfs_sustained WHERE sid = ? AND inode > ? ORDER BY inode LIMIT ?',
      [sid, after, PAGE],
      (row) => bigintAt(row, 0),
    ),
  );
  return inodes;
}

/** Written into the record of every session of ours. */
export const OUR_MARK = '+pageseal';

export interface OtherSession {
  readonly sid: bigint;
  readonly looksAfterFiles: boolean;
}

/** Those that do not end (stale-sessions.ts). */
export const otherSessions = (sid: bigint): Query<OtherSession> =>
  query('SELECT sid, BYTES(info) FROM jfs_session2 WHERE sid <> ? AND expire > 0 ORDER BY sid', [sid], (row) => ({
    sid: bigintAt(row, 0),
    looksAfterFiles: versionOf(bytesAt(row, 1)).endsWith(OUR_MARK),
  }));

function versionOf(info: Buffer): string {
  try {
    const { Version } = JSON.parse(info.toString()) as { Version?: unknown };
    return typeof Version === 'string' ? Version : '';
  } catch {
    return ''; // of a client that keeps something else there
  }
}

/** Whether a session that is still there keeps the file, too. A row without its session keeps nothing. */
const otherKeepers = (sid: bigint, ino: Ino): Query<bigint> =>
  query(
    'SELECT s.sid FROM jfs_session2 s WHERE s.sid <> ? AND EXISTS (SELECT 1 FROM jfs_sustained u WHERE u.sid = s.sid AND u.inode = ?) LIMIT 1',
    [sid, ino],
    (row) => bigintAt(row, 0),
  );

const deleteSustained = (sid: bigint, ino: Ino): Change =>
  change('DELETE FROM jfs_sustained WHERE sid = ? AND inode = ?', sid, ino);

/** A session goes on under another id. */
export const moveSustained = (from: bigint, to: bigint): Change =>
  change('UPDATE jfs_sustained SET sid = ? WHERE sid = ?', to, from);

/** Rows in one transaction. */
const RESTORED = 500;

/**
 * After another client ended the session: what is open here and has no name gets its row again, as long as the node is there
 * (another session may have kept it, or its end is not that far yet).
 */
export async function restoreSustained(engine: Engine, sid: bigint, open: readonly Ino[]): Promise<void> {
  for (let at = 0; at < open.length; at += RESTORED) {
    const group = open.slice(at, at + RESTORED);
    await engine.run(function* () {
      yield* write(...group.map((ino) => restored(sid, ino)));
    });
  }
}

const restored = (sid: bigint, ino: Ino): Change =>
  change(
    'INSERT INTO jfs_sustained (sid, inode) SELECT s.sid, n.inode FROM jfs_session2 s, jfs_node n WHERE s.sid = ? AND n.inode = ? AND n.nlink = 0 ON CONFLICT (sid, inode) DO NOTHING',
    sid,
    ino,
  );

/** With the last row the node becomes a delfile row; `deleted` may then delete its data. Fine when it is gone already. */
export async function dropSustained(
  engine: Engine,
  usage: Usage,
  sid: bigint,
  ino: Ino,
  deleted: (ino: Ino) => void,
): Promise<void> {
  const dropped = await engine.run(function* (): Op<UsageDelta | undefined> {
    const [[attr], others] = yield* read(nodeById(ino, true), otherKeepers(sid, ino));
    // With a name it is no longer ours to delete: another client may have restored it.
    if (attr === undefined || attr.nlink > 0 || others.length > 0) {
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

/** At each heartbeat: of the rows that other mounts wrote for this session, those of files that are not open here go. */
export async function dropUnneeded(
  engine: Engine,
  sid: bigint,
  files: OpenFileTable,
  drop: (ino: Ino) => Promise<void>,
): Promise<void> {
  let after: Ino | undefined = 0n;
  while (after !== undefined) {
    const from: Ino = after;
    const inodes = await engine.view(() => sustainedOf(sid, from));
    const unneeded = inodes.filter((ino) => !files.needs(ino));
    while (unneeded.length > 0) await Promise.all(unneeded.splice(0, PARALLEL).map(drop));
    after = inodes.at(-1);
  }
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

  /** Every file that somebody may have open here, as far as that is known. */
  get known(): Ino[] {
    return [...new Set([...this.#counts.keys(), ...this.#sustained])];
  }

  /** Another mount unlinked the file. Answers whether it stays for a handle here, and then goes with the last one. */
  needs(ino: Ino): boolean {
    if (!this.#successor && !this.#counts.has(ino)) return this.#sustained.has(ino);
    this.#sustained.add(ino);
    return true;
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
