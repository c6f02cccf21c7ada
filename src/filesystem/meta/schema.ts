// Makes, completes and drops the tables of a file system; what they look like is each database's own file. Names stand in
// the texts and are no parameters: engines put the table prefix into texts only.
import type { Dialect, Engine, Query, Reader } from '../sql/op.ts';
import { read } from '../sql/op.ts';
import { postgresSchema } from './schema-postgres.ts';
import { sqliteSchema } from './schema-sqlite.ts';

export interface Schema {
  /** Before statements that change it. */
  readonly lock: readonly string[];
  /** The original client's tables and indexes, then ours; running them again changes nothing. */
  readonly original: readonly string[];
  readonly ours: readonly string[];
  readonly columnsOfNode: Query<string>;
  /** A row when there is such a table; `name` is a constant of ours. */
  readonly tablesNamed: (name: string) => Query<string>;
  /** A row when the place of the tables holds any, whosever. */
  readonly anyTable: Query<string>;
}

const schemas: Readonly<Record<Dialect, Schema>> = { sqlite: sqliteSchema, postgres: postgresSchema };

const script = (statements: readonly string[]): string => statements.map((statement) => `${statement};`).join('\n');

const statementsOf = ({ dialect }: Engine): readonly string[] => [
  ...schemas[dialect].original,
  ...schemas[dialect].ours,
];

export const createTables = (engine: Engine): Promise<void> =>
  engine.execute(script([...schemas[engine.dialect].lock, ...statementsOf(engine)]));

/** Every table of a file system, in one transaction. */
export async function dropTables(engine: Engine): Promise<void> {
  const names = statementsOf(engine).flatMap(
    (statement) => /^CREATE TABLE IF NOT EXISTS [`"]?(\w+)/.exec(statement)?.[1] ?? [],
  );
  const drops = [...names, 'jfs_session'].map((name) => `DROP TABLE IF EXISTS ${name}`);
  await engine.execute(script([...schemas[engine.dialect].lock, ...drops]));
}

/** Whether there is anything beside what `dropTables` takes. */
export const hasOtherTables = (engine: Engine): Promise<boolean> => finds(engine, schemas[engine.dialect].anyTable);

const finds = async (engine: Reader, query: Query<string>): Promise<boolean> => {
  const [found] = await engine.view(() => read(query));
  return found.length > 0;
};

/** Columns that releases before 1.4 did not have; NULL in old rows, which readers take as 0. */
const laterColumns: readonly (readonly [column: string, definition: string])[] = [
  ['atimensec', 'INTEGER DEFAULT 0 NOT NULL'],
  ['mtimensec', 'INTEGER DEFAULT 0 NOT NULL'],
  ['ctimensec', 'INTEGER DEFAULT 0 NOT NULL'],
  ['access_acl_id', 'INTEGER NULL'],
  ['default_acl_id', 'INTEGER NULL'],
  ['tier_id', 'INTEGER NULL'],
];

const hasTable = (engine: Reader, name: string): Promise<boolean> =>
  finds(engine, schemas[engine.dialect].tablesNamed(name));

/**
 * Whether our tables are there: volumes of the original client get them with the first writing mount. Those that came
 * later may be missing where only an older version has written; who only reads can do without them.
 */
export const hasOurTables = (engine: Reader): Promise<boolean> => hasTable(engine, 'pageseal_usage');
const NEWEST = 'pageseal_owner_usage';

/** Before a writing mount: what a volume of an older release, or of the original client, lacks is added. */
export async function completeTables(engine: Engine): Promise<void> {
  const { lock, columnsOfNode } = schemas[engine.dialect];
  const [columns] = await engine.view(() => read(columnsOfNode));
  const missing = laterColumns.filter(([column]) => !columns.includes(column));
  if (missing.length === 0 && (await hasTable(engine, NEWEST))) return;
  const alter = missing.map(([column, definition]) => `ALTER TABLE jfs_node ADD COLUMN ${column} ${definition}`);
  await engine.execute(script([...lock, ...alter, ...statementsOf(engine)]));
}
