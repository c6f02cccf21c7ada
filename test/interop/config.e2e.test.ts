// `pageseal config` against the original client's: the same record, byte for byte, and the same picture of it; what only
// ours knows is kept.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { openAtRest } from '../../src/filesystem/keys/at-rest.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { copyVolume, readRecord } from '../harness/volumes.ts';
import { violations } from '../model/invariants.ts';

describe('config', needs('juicefs', 'openssl'), () => {
  const temp = makeTemp();
  const juicefs = new Juicefs(temp);
  const pageseal = new Pageseal(temp);
  const sql = (file: string, text: string): unknown => {
    const database = new DatabaseSync(file);
    try {
      return database.prepare(text).all();
    } finally {
      database.close();
    }
  };

  test('the same changes make the same record', async () => {
    // biome-ignore format: a table
    const changes = [
      ['--capacity', '5', '--inodes', '1000', '--trash-days', '3'], ['--capacity', '0'], ['--trash-days', '0', '--yes'],
      ['--enable-acl', '--yes'], ['--trash-days', '7'], ['--min-client-version', '1.3.0'], ['--inodes', '0'],
      ['--user-group-quota'],
    ];
    for (const name of ['trash0'] as const) {
      const theirs = copyVolume(temp, name);
      const ours = temp.at(`${name}-ours.db`);
      // In the original client's spelling, which the harness is not.
      await juicefs.ok(['config', theirs.metaUrl, '--trash-days', '2']);
      cpSync(theirs.database, ours);
      for (const flags of changes) {
        await juicefs.ok(['config', theirs.metaUrl, ...flags]);
        await pageseal.ok(['config', `sqlite3://${ours}`, ...flags]);
        assert.equal(readRecord(ours), readRecord(theirs.database), flags.join(' '));
      }
      const [shown, known] = [
        await pageseal.run(['config', `sqlite3://${ours}`]),
        await juicefs.run(['config', theirs.metaUrl]),
      ];
      assert.equal(shown.stdout, known.stdout);
      assert.doesNotMatch(shown.stdout, /"EncryptKey": "(?!removed)/);
      assert.deepEqual(violations(ours), []);
      // The trash that was turned on got its directory.
      assert.equal((sql(ours, 'SELECT 1 FROM jfs_node WHERE inode = 9223372032828243968') as unknown[]).length, 1);
    }
  });

  test('the same settings of the store make the same record, with secrets sealed', async () => {
    // biome-ignore format: a table
    const changes = [
      ['--secret-key', 'second'], ['--session-token', 'third'], ['--access-key', 'id2'], ['--upload-limit', '100', '--download-limit', '1.5'],
      ['--upload-limit', '2G'], ['--storage-class', 'COLD'], ['--upload-limit', '0'], ['--session-token', ''], ['--storage-class', ''], ['--secret-key', ''], ['--access-key', ''],
    ];
    const [theirs, ours] = [temp.at('store-theirs.db'), temp.at('store-ours.db')];
    const bucket = temp.folder('store-objects');
    const credentials = ['--access-key', 'id', '--secret-key', 'first', '--storage-class', 'WARM'];
    await juicefs.ok(['format', `sqlite3://${theirs}`, 'store', '--bucket', bucket, ...credentials]);
    sql(theirs, 'PRAGMA wal_checkpoint(TRUNCATE)');
    cpSync(theirs, ours);
    /** Sealed under a nonce of its own each time. */
    const opened = (file: string): string => {
      const text = readRecord(file);
      const { UUID, KeyEncrypted = false } = JSON.parse(text) as { UUID: string; KeyEncrypted?: boolean };
      return text.replace(/("(?:SecretKey|SessionToken)": )"(.*)"/g, (_, name: string, value: string) => {
        assert.equal(KeyEncrypted, true);
        return `${name}${openAtRest(UUID, value)}`;
      });
    };
    assert.match(opened(theirs), /"SecretKey": first/);
    for (const flags of changes) {
      await juicefs.ok(['config', `sqlite3://${theirs}`, '--yes', ...flags]);
      const said = await pageseal.ok(['config', `sqlite3://${ours}`, ...flags]);
      assert.doesNotMatch(said, /second|third/);
      assert.equal(opened(ours), opened(theirs), flags.join(' '));
    }
    assert.doesNotMatch(readRecord(ours), /KeyEncrypted/);
    // The original client would put it there in clear now.
    await pageseal.ok(['config', `sqlite3://${ours}`, '--secret-key', 'canary', '--session-token', 'canary']);
    assert.doesNotMatch(readRecord(ours), /canary/);
    assert.match(opened(ours), /"SecretKey": canary,\n"SessionToken": canary/);
    assert.match(await pageseal.ok(['config', `sqlite3://${ours}`, '--secret-key', 'canary']), /it is so already/);
    await juicefs.ok(['config', `sqlite3://${ours}`, '--yes', '--access-key', 'id3']);
    assert.match(opened(ours), /"SecretKey": canary/);
  });

  test('format writes what the original client does', async () => {
    const [theirs, ours] = [temp.at('made-theirs.db'), temp.at('made-ours.db')];
    const flags = ['--access-key', 'id', '--session-token', 'token', '--storage-class', 'WARM', '--trash-days', '2'];
    await juicefs.ok(['format', `sqlite3://${theirs}`, 'made', '--bucket', temp.folder('made-theirs'), ...flags]);
    await pageseal.ok(['format', `sqlite3://${ours}`, 'made', '--bucket', temp.folder('made-ours'), ...flags]);
    const comparable = (file: string): string =>
      readRecord(file)
        .replace(/("(?:UUID|SessionToken)": )".*"/g, '$1')
        .replace('made-ours', 'made-theirs');
    assert.equal(comparable(ours), comparable(theirs));
    const { UUID, SessionToken } = JSON.parse(readRecord(ours)) as { UUID: string; SessionToken: string };
    assert.equal(openAtRest(UUID, SessionToken).toString(), 'token');
  });

  test('a self-managed volume stays one, with the fields of whoever wrote them', async () => {
    const key = await makeKey(temp, 2048, 'pkcs8');
    const file = temp.at('own.db');
    const metaUrl = `sqlite3://${file}`;
    await pageseal.format(metaUrl, 'own', `${temp.folder('own')}/`, ['--rsa-key', key.file]);
    const record = readRecord(file).replace('"DirStats"', '"Later": {\n"b": 1,\n"a": 2\n},\n"DirStats"');
    sql(file, `UPDATE jfs_setting SET value = '${record}'`);
    const outcome = await pageseal.ok(['config', metaUrl, '--capacity', '2', '--json']);
    assert.deepEqual((JSON.parse(outcome) as { changes: unknown }).changes, [{ name: 'Capacity', to: 2 ** 31 }]);
    assert.equal(readRecord(file), record.replace('"EncryptAlgo"', `"Capacity": ${2 ** 31},\n"EncryptAlgo"`));
    assert.match(readRecord(file), /"MetaVersion": "pageseal-1"/);
  });

  test('what cannot be, what was not meant, and where nobody can be asked', async () => {
    const { metaUrl, database } = copyVolume(temp, 'quota');
    const before = readRecord(database);
    const refused = async (code: number, message: RegExp, ...flags: string[]): Promise<void> => {
      const outcome = await pageseal.run(['config', metaUrl, ...flags]);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.equal(readRecord(database), before);
    };
    await refused(8, /cannot be changed: pages that are stored/, '--block-size', '1M');
    await refused(8, /one storage class/, '--tier', '1');
    await refused(2, /megabits a second/, '--upload-limit', '500K');
    await refused(2, /megabits a second/, '--download-limit', '0.5');
    await refused(8, /wanted file/, '--storage', 'punchcards');
    await refused(2, /certificates as PEM/, '--access-key', 'x', '--ca-bundle', database);
    await refused(8, /deleted within the hour/, '--trash-days', '0');
    await refused(8, /less than the 217088 bytes/, '--capacity', '100K');
    await refused(8, /this release itself/, '--min-client-version', '9.0.0');
    await refused(8, /this release itself/, '--max-client-version', '1.1.0');
    await refused(2, /wanted a version/, '--min-client-version', 'new');
    await refused(2, /wanted 0 to/, '--trash-days', '40000');
    await refused(2, /true or false/, '--dir-stats', 'maybe');
    await refused(6, /quotas of directories/, '--dir-stats', 'false');
    await refused(7, /--force|no such|ENOENT/, '--bucket', temp.at('nowhere'));
    await refused(6, /is not there/, '--bucket', temp.folder('empty'));
  });

  test('a bucket that was moved', async () => {
    const { metaUrl, bucket } = copyVolume(temp, 'plain');
    const moved = `${temp.at('moved')}/`;
    cpSync(bucket, moved, { recursive: true });
    await pageseal.ok(['config', metaUrl, '--bucket', moved.slice(0, -1)]);
    assert.equal((JSON.parse((await juicefs.run(['config', metaUrl])).stdout) as { Bucket: string }).Bucket, moved);
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
  });
});
