// The tables on PostgreSQL: ours are the original client's to the letter, and neither client's mount finds anything to
// change in what the other made.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { log } from '../../src/base/log.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import { openMeta } from '../../src/filesystem/meta/open-meta.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs, postgresPrograms } from '../harness/tools.ts';

const temp = makeTemp();
const juicefs = new Juicefs(temp);
let server: PostgresServer;
before(async () => {
  server = await PostgresServer.start(temp);
});

interface Where {
  readonly database: string;
  readonly schema: string;
  /** Of the URL. */
  readonly options: Readonly<Record<string, string>>;
}

const places: Readonly<Record<string, Omit<Where, 'database'>>> = {
  'in the schema of everybody': { schema: 'public', options: {} },
  'in a schema of its own, under a prefix': { schema: 'app', options: { search_path: 'app', table_prefix: 'vol_1' } },
};

const metaUrl = ({ database, options }: Where): string => server.url(database, options);

async function make(database: string, where: Omit<Where, 'database'>): Promise<Where> {
  await server.createDatabase(database);
  if (where.schema !== 'public')
    await server.sql(`CREATE SCHEMA ${where.schema} AUTHORIZATION "${database}"`, database);
  return { database, ...where };
}

/** What pg_dump says of the original client's tables, without the database's and the role's name. */
async function tables({ database, schema }: Where, which = 'jfs_*'): Promise<string> {
  const args = ['-s', '--no-owner', '--no-privileges', '-t', `${schema}.${which}`, server.url(database)];
  const text = await runOk(join(postgresPrograms, 'pg_dump'), args, { env: temp.env });
  return text.replace(/^(--|\\).*\n/gm, '').replace(/\n+/g, '\n');
}

async function ourMount(where: Where): Promise<void> {
  const meta = await openMeta({ engine: await openEngine(metaUrl(where)), log, removeSlice: async () => undefined });
  await meta.close();
}

async function theirMount(where: Where, point: string): Promise<void> {
  await juicefs.mount(metaUrl(where), temp.at(point));
  await juicefs.umount(temp.at(point));
}

for (const [what, place] of Object.entries(places)) {
  const id = place.schema;
  test(`the tables of both clients, ${what}`, needs('root', 'fuse', 'juicefs', 'postgres'), async () => {
    const [ours, theirs] = [await make(`ours_${id}`, place), await make(`theirs_${id}`, place)];
    const name = `volume-${id}`;
    const bucket = (who: string): string => `${temp.folder(`${who}-${id}`)}/`;
    const store = { storage: 'file', bucket: bucket('ours') };
    await formatVolume({ metaUrl: metaUrl(ours), name, store, key: { kind: 'none' } });
    await juicefs.format(metaUrl(theirs), name, bucket('theirs'));
    const wanted = await tables(theirs);
    assert.ok(wanted.split('CREATE TABLE').length > 21);
    assert.equal(await tables(ours), wanted);

    await theirMount(ours, `ours-${id}-mounted`);
    assert.equal(await tables(ours), wanted, 'after a mount of the original client');
    await juicefs.ok(['config', metaUrl(ours), '--trash-days', '3', '--yes']);
    assert.equal(await tables(ours), wanted, 'after its config');

    await ourMount(theirs);
    assert.equal(await tables(theirs), wanted, 'after a mount of ours');
    assert.match(await tables(theirs, 'pageseal_*'), /CREATE TABLE/);
    await theirMount(theirs, `theirs-${id}-mounted`);
    assert.equal(await tables(theirs), wanted, 'after one of each');
  });
}
