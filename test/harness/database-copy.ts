// A database of PostgreSQL's as a test's own code reads it: copied into SQLite's memory, so that one set of queries judges
// volumes of both.
import { DatabaseSync } from 'node:sqlite';
import postgres from 'postgres';
import type { Value } from './place.ts';

export type Client = postgres.Sql<{ bigint: bigint }>;

/** A way there that the URL does not name: the authority to trust, or the folder of a unix socket. */
export type Reach = { readonly ssl: { readonly ca: string } } | { readonly path: string };

/** Ends the connection with the work. */
export async function connected<T>(metaUrl: string, reach: Reach, work: (client: Client) => Promise<T>): Promise<T> {
  const { hostname, port, username, password, pathname } = new URL(metaUrl);
  const client = postgres({
    host: hostname,
    port: Number(port),
    username,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    ...reach,
    max: 1,
    types: { bigint: postgres.BigInt },
    onnotice: () => undefined,
  });
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

export const copyOf = (client: Client): Promise<DatabaseSync> =>
  client.begin('isolation level repeatable read read only', copyTables);

async function copyTables(client: postgres.TransactionSql<{ bigint: bigint }>): Promise<DatabaseSync> {
  const database = new DatabaseSync(':memory:');
  const columns = await client<{ table: string; names: string[] }[]>`
    SELECT table_name AS table, array_agg(column_name::text ORDER BY ordinal_position) AS names
    FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name`;
  for (const { table, names } of columns) {
    const list = names.map((name) => `"${name}"`).join();
    database.exec(`CREATE TABLE "${table}" (${list})`);
    const insert = database.prepare(`INSERT INTO "${table}" VALUES (${names.map(() => '?').join()})`);
    for (const row of await client.unsafe(`SELECT ${list} FROM "${table}"`).values())
      insert.run(...(row as unknown[]).map(asSqlite));
  }
  return database;
}

/** As SQLite would hold it. */
function asSqlite(value: unknown): Value {
  if (typeof value === 'number' || typeof value === 'boolean') return BigInt(value);
  return value as Value;
}
