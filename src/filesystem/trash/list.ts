// What is in the trash: its hours, and the entries of one with where they were. Reads metadata only.
import type { Ino } from '../../base/words.ts';
import { readSetting } from '../meta/read-setting.ts';
import { readdirOp } from '../meta/readdir.ts';
import { bigintAt, bytesAt } from '../meta/rows.ts';
import { NODE_SPACE, sumOf } from '../meta/space.ts';
import { parseTrashName } from '../meta/trash.ts';
import { expiryLimit, hourOf } from '../meta/trash-expiry.ts';
import { type Attr, TRASH } from '../meta/types.ts';
import { joined, Paths } from '../paths.ts';
import { type Engine, query, read } from '../sql/op.ts';

/** Entries per look at an hour. */
const PAGE = 1000;
const HOUR_MS = 3_600_000;

export interface HourInfo {
  readonly hour: string;
  readonly ino: Ino;
  /** Of its own; what was restored into a deleted directory is not counted. */
  readonly entries: bigint;
  readonly bytes: bigint;
  /** When a mount may begin to remove it (ISO time); undefined for a name that no client makes. */
  readonly expires: string | undefined;
}

/** Oldest first. */
export async function listHours(engine: Engine): Promise<HourInfo[]> {
  const { setting } = await readSetting(engine);
  const hours = query(
    `SELECT BYTES(h.name), h.inode, COUNT(n.inode), ${sumOf(`CASE WHEN n.inode IS NULL THEN 0 ELSE ${NODE_SPACE} END`)}
     FROM jfs_edge h LEFT JOIN jfs_edge e ON e.parent = h.inode LEFT JOIN jfs_node n ON n.inode = e.inode
     WHERE h.parent = ? GROUP BY h.name, h.inode ORDER BY h.name`,
    [TRASH],
    (row) => ({ name: bytesAt(row, 0), ino: bigintAt(row, 1), entries: bigintAt(row, 2), bytes: bigintAt(row, 3) }),
  );
  const found = await engine.view(function* () {
    const [all] = yield* read(hours);
    return all;
  });
  const kept = -expiryLimit(setting.trashDays, 0);
  return found.map(({ name, ...rest }) => {
    const time = hourOf(name);
    const expires = time === undefined ? undefined : new Date(time + kept).toISOString();
    return { hour: name.toString(), ...rest, expires };
  });
}

export const hoursAgo = (hours: number, nowMs: number): number => nowMs - hours * HOUR_MS;

export interface TrashedEntry {
  /** Name in the hour's directory. */
  readonly entry: string;
  /** Where it was; undefined when a directory on the way is gone for good. */
  readonly path: string | undefined;
  readonly attr: Attr | undefined;
}

/** The entries of an hour, page by page. */
export async function* listEntries(engine: Engine, hour: Ino): AsyncGenerator<TrashedEntry> {
  const paths = new Paths(engine, { original: true });
  let after: Buffer | undefined;
  do {
    const entries = await engine.view(readdirOp(hour, after, PAGE, true));
    for (const { name, attr } of entries) {
      const was = parseTrashName(name);
      const directory = was && (await paths.ofDirectory(was.parent));
      const path = was && directory && joined(directory, was.name).toString();
      yield { entry: name.toString(), path, attr };
    }
    after = entries.at(-1)?.name;
  } while (after !== undefined);
}
