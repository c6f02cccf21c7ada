// A volume of rows only, for tests of the tree's operations: the original client's schema (taken from a volume that it
// made), a root, a trash, and a context that keeps what operations leave to be done.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { log } from '../../../src/base/log.ts';
import type { Caller } from '../../../src/base/words.ts';
import type { MetaContext } from '../../../src/filesystem/meta/context.ts';
import { Namespace } from '../../../src/filesystem/meta/namespace.ts';
import type { Outcome } from '../../../src/filesystem/meta/request.ts';
import { completeTables } from '../../../src/filesystem/meta/schema.ts';
import { parseSetting, type Setting } from '../../../src/filesystem/meta/setting.ts';
import type { Attr, Ino } from '../../../src/filesystem/meta/types.ts';
import { counted, Usage } from '../../../src/filesystem/meta/usage.ts';
import type { Delta, UsageDelta } from '../../../src/filesystem/meta/usage-rows.ts';
import { type Engine, type Row, type SqlValue, write } from '../../../src/filesystem/sql/op.ts';
import { openSqlite } from '../../../src/filesystem/sql/sqlite.ts';
import { violations } from '../../model/invariants.ts';

const TEMPLATE = join(import.meta.dirname, '../../volumes/acl/meta.db');
const OLD = 1_600_000_000_000_000n;

export const root: Caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };
export const user = (uid: number, gid = uid): Caller => ({ uid, gid, pid: 1, umask: 0o022 });
export const bytes = (name: string): Buffer => Buffer.from(name);

const deltasOf = (outcome: Outcome<unknown>): readonly UsageDelta[] => outcome.usage ?? [];

export interface TreeVolume {
  readonly tree: Namespace;
  readonly file: string;
  readonly usage: Usage;
  /** Inodes that count as open. */
  readonly open: Set<Ino>;
  readonly sustained: Ino[];
  readonly deleted: Ino[];
  readonly context: MetaContext;
  /** Rows as the database holds them now, by a connection of its own. */
  rows(sql: string, ...params: SqlValue[]): Row[];
  row(sql: string, ...params: SqlValue[]): Row | undefined;
  /** Changes rows behind the operations' back. */
  exec(sql: string, ...params: SqlValue[]): void;
  /** Counts what a test added to rows by itself. */
  grown(directory: Ino, delta: Delta): Promise<void>;
  /** After flushing the figures. */
  violations(): Promise<string[]>;
  close(): Promise<void>;
}

export async function treeVolume(settings: Partial<Setting> = {}): Promise<TreeVolume> {
  const folder = await mkdtemp(join(tmpdir(), 'pageseal-tree-'));
  const file = join(folder, 'meta.db');
  await cp(TEMPLATE, file);
  const side = new DatabaseSync(file, { readBigInts: true, returnArrays: true });
  empty(side);
  const [[text]] = side.prepare("SELECT value FROM jfs_setting WHERE name = 'format'").all() as unknown as [[string]];
  const setting: Setting = { ...parseSetting(text), enableAcl: false, ...settings };
  const engine = await openSqlite({ file, tablePrefix: '' });
  await completeTables(engine);
  const usage = await usageOf(engine, setting);
  const [open, sustained, deleted] = [new Set<Ino>(), [] as Ino[], [] as Ino[]];
  let next = 2n;
  const context: MetaContext = {
    engine,
    readOnly: false,
    log,
    setting,
    sid: 7n,
    usage,
    files: { isOpen: (ino) => open.has(ino), sustained: (ino) => void sustained.push(ino) },
    newInode: async () => next++,
    write: async (_caller, _reply, operation, options) => {
      const {
        answer,
        usage: deltas = [],
        after,
      } = await engine.run(() => counted(usage, operation, deltasOf), options);
      usage.applied(deltas);
      after?.();
      return answer;
    },
    repeat: (operation) => engine.run(operation),
    deleteData: (ino) => void deleted.push(ino),
  };
  const rows = (sql: string, ...params: SqlValue[]): Row[] => side.prepare(sql).all(...params) as unknown as Row[];
  return {
    tree: new Namespace(context),
    file,
    usage,
    open,
    sustained,
    deleted,
    context,
    rows,
    row: (sql, ...params) => rows(sql, ...params)[0],
    exec: (sql, ...params) => void side.prepare(sql).run(...params),
    grown: (directory, delta) => grown(context, { ...delta, directory, quotas: directory, volume: true }),
    violations: async () => {
      await usage.flush();
      return violations(file);
    },
    close: async () => {
      await usage.close();
      await engine.close();
      side.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function usageOf(engine: Engine, setting: Setting): Promise<Usage> {
  const usage = new Usage(
    engine,
    log,
    () => setting,
    () => 7n,
  );
  await usage.refresh();
  return usage;
}

async function grown({ engine, usage }: MetaContext, delta: UsageDelta): Promise<void> {
  await engine.run(function* () {
    yield* write(...usage.changes([delta]));
  });
  usage.applied([delta]);
}

/** Everything but the setting goes; what format inserts comes. */
function empty(side: DatabaseSync): void {
  const tables = side.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'jfs_%'").all();
  for (const [name] of tables as unknown as [string][]) if (name !== 'jfs_setting') side.exec(`DELETE FROM ${name}`);
  side.exec('DELETE FROM sqlite_sequence');
  const node = side.prepare(
    `INSERT INTO jfs_node VALUES (?, 2, 0, ?, 0, 0, ${OLD}, ${OLD}, ${OLD}, 0, 0, 0, 2, 4096, 0, 1, 0, 0, 0)`,
  );
  node.run(1n, 0o777n);
  node.run(0x7fffffff10000000n, 0o555n);
  side.exec(`INSERT INTO jfs_counter VALUES ('nextInode', 100000), ('nextChunk', 1), ('nextSession', 7),
    ('usedSpace', 0), ('totalInodes', 0), ('nextCleanupSlices', 0)`);
}

/** The whole name space below a directory, by names; the trash is not in it. */
export async function listing(tree: Namespace, ino: Ino = 1n, path = ''): Promise<Map<string, Attr>> {
  const found = new Map<string, Attr>();
  for (const { name, attr } of await tree.readdir(ino, undefined, 100_000, true)) {
    if (attr === undefined) continue;
    const at = `${path}/${name.toString('latin1')}`;
    found.set(at, attr);
    if (attr.type === 2) for (const [below, inner] of await listing(tree, attr.ino, at)) found.set(below, inner);
  }
  return found;
}
