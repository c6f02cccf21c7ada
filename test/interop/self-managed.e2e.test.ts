// A volume whose key stays with the user: the original client must refuse it with every command it has that takes a
// metadata url, and leave record, database and objects as they were.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, describe, test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { copyVolume, readRecord } from '../harness/volumes.ts';

const passphrase = 'the passphrase';

interface Place {
  readonly temp: Temp;
  readonly metaUrl: string;
  readonly database: string;
  readonly bucket: string;
  readonly key: string;
  /** A dump of another volume. */
  readonly dump: string;
}

/** What a refusal says: the record cannot be read, or the database is in use. Bad usage would prove nothing. */
const refusal = /cannot unmarshal string into Go struct field Format.MetaVersion|is not empty/;

/** Every command of 1.4.2 that takes a META-URL; `load`, which wants an empty database, is given this one. */
const commands = ({ temp, metaUrl, bucket, key, dump }: Place): readonly (readonly string[])[] => {
  const mountPoint = temp.folder('juicefs-mnt');
  const quiet = ['--no-usage-report', '--cache-dir', temp.at('cache')];
  const store = ['--storage', 'file', '--bucket', bucket];
  return [
    ['status', metaUrl],
    ['config', metaUrl],
    ['config', metaUrl, '--trash-days', '7', '--yes'],
    ['config', metaUrl, '--capacity', '1', '--force', '--yes'],
    ['format', metaUrl, 'demo', ...store],
    ['format', metaUrl, 'demo', ...store, '--force'],
    ['format', metaUrl, 'other', ...store, '--force'],
    ['format', metaUrl, 'demo', ...store, '--encrypt-rsa-key', key, '--force'],
    ['fsck', metaUrl],
    ['fsck', metaUrl, '--path', '/', '--recursive', '--repair'],
    ['gc', metaUrl],
    ['gc', metaUrl, '--delete'],
    ['gc', metaUrl, '--compact'],
    ['dump', metaUrl, temp.at('dump.json')],
    ['dump', metaUrl, temp.at('dump.bin'), '--binary'],
    ['load', metaUrl, dump],
    ['quota', 'set', metaUrl, '--path', '/', '--capacity', '1'],
    ['quota', 'get', metaUrl, '--path', '/'],
    ['quota', 'list', metaUrl],
    ['quota', 'check', metaUrl, '--path', '/', '--repair'],
    ['quota', 'delete', metaUrl, '--path', '/'],
    ['tier', 'list', metaUrl],
    ['tier', 'set', metaUrl, '--tier', '1', '/'],
    ['tier', 'restore', metaUrl, '/'],
    ['changelog', metaUrl],
    ['restore', metaUrl, '2026-01-01-01'],
    ['destroy', metaUrl, '00000000-0000-0000-0000-000000000000', '--yes', '--force'],
    ['mount', metaUrl, mountPoint, ...quiet],
    ['mount', metaUrl, mountPoint, ...quiet, '--read-only'],
    ['mount', '-d', metaUrl, mountPoint, ...quiet],
    ['gateway', metaUrl, '127.0.0.1:0', ...quiet],
    ['webdav', metaUrl, '127.0.0.1:0', ...quiet],
    ['sync', 'jfs://ours/', temp.at('copy/')],
    ['sync', `${bucket}demo/`, 'jfs://ours/'],
  ];
};

describe('a self-managed volume and the original client', needs(...interopNeeds), () => {
  const temp = makeTemp();
  let place: Place;

  before(async () => {
    const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
    const database = temp.at('meta.db');
    const bucket = `${temp.folder('objects')}/`;
    const dump = temp.at('dump-of-another.json');
    await new Juicefs(temp).ok(['dump', copyVolume(temp, 'plain').metaUrl, dump]);
    place = { temp, database, metaUrl: `sqlite3://${database}`, bucket, key: key.file, dump };
    const pageseal = new Pageseal(temp, passphrase);
    await pageseal.format(place.metaUrl, 'demo', bucket, ['--rsa-key', key.file]);
  });

  test('every command refuses it and changes nothing', async () => {
    const env = { ours: place.metaUrl, MINIO_ROOT_USER: 'admin', MINIO_ROOT_PASSWORD: 'a password' };
    const juicefs = new Juicefs(temp, passphrase, env);
    const record = readRecord(place.database);
    const all = allRows(place.database);
    const objects = listing(place.bucket);
    assert.match(record, /"MetaVersion": "pageseal-1"/);
    const accepted: string[] = [];
    for (const args of commands(place)) {
      const outcome = await juicefs.run(args, 30_000);
      const said = `juicefs ${args.join(' ')}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}`;
      if (outcome.code === 0 || !refusal.test(said)) accepted.push(said);
      assert.equal(readRecord(place.database), record, said);
      assert.deepEqual(allRows(place.database), all, said);
      assert.deepEqual(listing(place.bucket), objects, said);
    }
    assert.deepEqual(accepted, [], 'commands that did not refuse');
  });

  test('the volume is still sound, and opens with its key', async () => {
    const pageseal = new Pageseal(temp, passphrase);
    assert.match(await pageseal.ok(['fsck', place.metaUrl, '--deep', '--rsa-key', place.key]), /nothing is wrong/);
  });
});

/** A digest of every row of every table, by table. */
function allRows(database: string): Record<string, string> {
  const db = new DatabaseSync(database, { readOnly: true });
  try {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").all();
    return Object.fromEntries(
      tables.map(({ name }) => {
        const rows = db.prepare(`SELECT * FROM "${String(name)}"`);
        rows.setReadBigInts(true);
        const text = JSON.stringify(rows.all(), (_, value: unknown) =>
          typeof value === 'bigint' ? `${value}n` : value,
        );
        return [String(name), createHash('sha256').update(text).digest('hex')];
      }),
    );
  } finally {
    db.close();
  }
}

/** Every object with the digest of its contents. */
const listing = (bucket: string): string[] =>
  readdirSync(bucket, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(bucket, name)).isFile())
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(bucket, name)))
          .digest('hex')}`,
    )
    .sort();
