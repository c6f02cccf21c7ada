// What a file system says about itself: record, sessions, usage. Reads metadata only, needs no key, and gives no secret away.
import type { Custody, Owner } from './meta/ledger-setting.ts';
import { readSetting, type VolumeSetting } from './meta/read-setting.ts';
import { bigintAt, bytesAt, textAt } from './meta/rows.ts';
import { hasOurTables } from './meta/schema.ts';
import { printRecord, type Setting } from './meta/setting.ts';
import { sumOf } from './meta/space.ts';
import { TRASH } from './meta/types.ts';
import { type Engine, type Op, query, type Row, read } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';
import { custodyOf } from './unlock.ts';

/** Fields of the record that are secrets, in clear or sealed. */
const secretFields: ReadonlySet<string> = new Set(['encryptkey', 'secretkey', 'sessiontoken']);

export interface Session {
  readonly sid: bigint;
  /** Seconds since the epoch. */
  readonly expires: bigint;
  /** What the client wrote about itself; empty when it is no JSON. */
  readonly info: Readonly<Record<string, unknown>>;
}

export interface Status {
  readonly setting: Setting;
  /** The record as JSON text, with secrets replaced by "removed". */
  readonly record: string;
  readonly custody: Custody;
  /** Who made it, and alone may wipe it or turn its encryption on. */
  readonly owner: Owner;
  /** Hex; undefined while no key has been seen. */
  readonly keyId: string | undefined;
  readonly sessions: readonly Session[];
  readonly usedSpace: bigint;
  readonly usedInodes: bigint;
  readonly trashInodes: bigint;
}

/** Where its objects are, for people; what stands in the record may be anything. */
export const placeOfObjects = ({ name, bucket }: Pick<Setting, 'name' | 'bucket'>): string =>
  `${bucket
    .replace(/\/\/[^@/?#]*@/, '//')
    .replace(/[?#].*$/, '')
    .replace(/\/*$/, '/')}${name}/`;

/** Opens the database for reading, runs `work`, closes it. */
export async function reading<T>(
  metaUrl: string,
  work: (engine: Engine, volume: VolumeSetting) => Promise<T>,
): Promise<T> {
  const engine = await openEngine(metaUrl, { readOnly: true });
  try {
    return await work(engine, await readSetting(engine));
  } finally {
    await engine.close();
  }
}

export const readStatus = (metaUrl: string): Promise<Status> =>
  reading(metaUrl, async (engine, volume) => {
    const { setting } = volume;
    const pending = (await hasOurTables(engine)) ? await engine.view(unflushed) : undefined;
    const rest = await engine.view(function* () {
      const [sessions, counters, trash] = yield* read(
        query('SELECT sid, expire, BYTES(info) FROM jfs_session2 ORDER BY sid', [], decodeSession),
        query('SELECT name, value FROM jfs_counter', [], (row) => [textAt(row, 0), bigintAt(row, 1)] as const),
        query('SELECT COUNT(*) FROM jfs_node WHERE parent > ?', [TRASH], (row) => bigintAt(row, 0)),
      );
      return { sessions, counters: new Map(counters), trash: trash[0] ?? 0n };
    });
    const shown = [...setting.record].map(([name, value]) => {
      const hidden = secretFields.has(name.toLowerCase()) && value !== '';
      return [name, hidden ? 'removed' : value] as const;
    });
    return {
      setting,
      record: printRecord(new Map(shown)),
      custody: custodyOf(volume),
      owner: volume.ours.owner ?? 'user',
      keyId: volume.ours.keyCheck?.toString('hex'),
      sessions: rest.sessions,
      usedSpace: (rest.counters.get('usedSpace') ?? 0n) + (pending?.space ?? 0n),
      usedInodes: (rest.counters.get('totalInodes') ?? 0n) + (pending?.inodes ?? 0n),
      trashInodes: rest.trash,
    };
  });

/** What mounts have changed and not added to the shared figures yet. */
function* unflushed(): Op<{ readonly space: bigint; readonly inodes: bigint } | undefined> {
  const [[sums]] = yield* read(
    query(`SELECT ${sumOf('total_space')}, ${sumOf('total_inodes')} FROM pageseal_usage`, [], (row) => ({
      space: bigintAt(row, 0),
      inodes: bigintAt(row, 1),
    })),
  );
  return sums;
}

function decodeSession(row: Row): Session {
  let info: Record<string, unknown> = {};
  try {
    info = JSON.parse(bytesAt(row, 2).toString()) as Record<string, unknown>;
  } catch {
    // Another client's row: what it says about itself is for show only.
  }
  return { sid: bigintAt(row, 0), expires: bigintAt(row, 1), info };
}
