// What every metadata engine promises, over PostgreSQL: a real server, over TLS.
import { before } from 'node:test';
import { openEngine, openSnapshot } from '../../src/filesystem/sql/open-engine.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { engineContract } from './engine-contract.ts';

const temp = makeTemp();
let server: PostgresServer;
let databases = 0;
const tools = needs('postgres', 'openssl');

before(async () => {
  if (tools.skip === undefined) server = await PostgresServer.start(temp);
});

const url = (prefix: string): string => server.url(`db${databases}`, { table_prefix: prefix });

engineContract({
  name: 'postgres',
  open: async (prefix) => {
    await server.createDatabase(`db${++databases}`);
    return openEngine(url(prefix));
  },
  snapshot: (prefix) => openSnapshot(url(prefix)),
  tables: "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
  bytes: 'BYTEA',
  needs: tools,
});
