// What every metadata engine promises, over SQLite.
import { openEngine, openSnapshot } from '../../src/filesystem/sql/open-engine.ts';
import { makeTemp } from '../harness/temp.ts';
import { engineContract } from './engine-contract.ts';

const temp = makeTemp();
let files = 0;

engineContract({
  name: 'sqlite',
  open: (prefix) => openEngine(`sqlite3://${temp.at(`${++files}.db`)}?table_prefix=${prefix}`, { create: true }),
  snapshot: (prefix) => openSnapshot(`sqlite3://${temp.at(`${files}.db`)}?table_prefix=${prefix}`),
  tables: "SELECT name FROM sqlite_master WHERE type = 'table'",
  bytes: 'BLOB',
});
