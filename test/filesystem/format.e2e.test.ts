// A volume that Pageseal formatted in the hands of the original client: its schema and rows are what that client makes,
// and a self-managed volume is shut to it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { formatVolume } from '../../src/filesystem/format.ts';
import { openMeta } from '../../src/filesystem/meta/open-meta.ts';
import { ROOT } from '../../src/filesystem/meta/types.ts';
import { sliceObjectKeys } from '../../src/filesystem/page/object-key.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { openStore } from '../../src/filesystem/store/open-store.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { quiet, root } from './meta/volume.ts';

const PAGE = 4 << 20;

function query(file: string, sql: string): unknown[] {
  const database = new DatabaseSync(file, { readBigInts: true, returnArrays: true, timeout: 5000 });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

const schema = (file: string): unknown[] =>
  query(file, 'SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid');

suite('format, seen by the original client', needs(...interopNeeds), () => {
  const temp = makeTemp();
  const juicefs = new Juicefs(temp);

  for (const prefix of ['', 'team'])
    test(`mounts, writes and checks it, schema unchanged, table prefix "${prefix}"`, async () => {
      const name = `plain${prefix}`;
      const file = temp.at(`${name}.db`);
      const metaUrl = `sqlite3://${file}${prefix === '' ? '' : `?table_prefix=${prefix}`}`;
      await formatVolume({
        metaUrl,
        name,
        store: { storage: 'file', bucket: temp.at('objects') },
        key: { kind: 'none' },
      });
      const before = schema(file);
      await juicefs.ok(['status', metaUrl]);
      await juicefs.ok(['config', metaUrl]);
      await juicefs.ok(['format', '--no-update', metaUrl, name, '--storage', 'file', '--bucket', temp.at('objects')]);
      const place = temp.at(`mnt-${name}`);
      await juicefs.mount(metaUrl, place);
      mkdirSync(`${place}/d`);
      const content = randomBytes(9 << 20);
      writeFileSync(`${place}/d/file`, content);
      writeFileSync(`${place}/d/file`, 'head', { flag: 'r+', flush: true });
      writeFileSync(`${place}/d/file`, 'tail', { flag: 'a', flush: true });
      assert.equal(readFileSync(`${place}/d/file`).length, content.length + 4);
      await juicefs.umount(place);
      assert.deepEqual(schema(file), before);
      assert.deepEqual(await juicefs.fsck(metaUrl), []);
      await juicefs.ok(['fsck', metaUrl, '--path', '/', '--recursive', '--sync-dir-stat']);

      // What it wrote, as we see it; its appends turned the value into text.
      const meta = await openMeta({
        engine: await openEngine(metaUrl, { readOnly: true }),
        readOnly: true,
        log: quiet,
        removeSlice: async () => undefined,
      });
      const dir = await meta.lookup(root, ROOT, Buffer.from('d'));
      const attr = await meta.lookup(root, dir.ino, Buffer.from('file'));
      assert.equal(attr.length, BigInt(content.length + 4));
      const { slices } = await meta.readChunk(attr.ino, 0);
      assert.deepEqual(
        slices.map(({ pos, len }) => [pos, len]),
        [
          [0, content.length],
          [0, 4],
          [content.length, 4],
        ],
      );
      await meta.close();
    });

  test('the tables are those that it makes itself', async () => {
    const [ours, theirs] = [temp.at('ours.db'), temp.at('theirs.db')];
    await formatVolume({
      metaUrl: `sqlite3://${ours}`,
      name: 'ours',
      store: { storage: 'file', bucket: temp.at('ours') },
      key: { kind: 'none' },
    });
    await juicefs.format(`sqlite3://${theirs}`, 'theirs', temp.at('theirs/'));
    const original =
      "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'pageseal%' ORDER BY rowid";
    assert.deepEqual(query(ours, original), query(theirs, original));
    for (const sql of [
      'SELECT name, value, typeof(value) FROM jfs_counter',
      'SELECT inode, type, flags, mode, uid, gid, nlink, length, rdev, parent, access_acl_id, default_acl_id, tier_id, typeof(tier_id) FROM jfs_node',
    ])
      assert.deepEqual(query(ours, sql), query(theirs, sql));
    const record = (file: string, name: string): string =>
      String((query(file, "SELECT value FROM jfs_setting WHERE name = 'format'")[0] as unknown[])[0])
        .replaceAll(name, 'X')
        .replace(/"UUID": "[^"]*"/, '"UUID"');
    assert.equal(record(ours, 'ours'), record(theirs, 'theirs'));
  });

  test('our commits, truncation and deletion leave what its fsck and gc want', async () => {
    const metaUrl = `sqlite3://${temp.at('work.db')}`;
    const settings = { storage: 'file', bucket: `${temp.at('work')}/` };
    await formatVolume({ metaUrl, name: 'work', store: settings, key: { kind: 'none' }, trashDays: 0 });
    const store = await openStore(settings);
    const keys = (id: bigint, size: number): string[] =>
      sliceObjectKeys({ volumeName: 'work', hashPrefix: false }, id, size, PAGE);
    const meta = await openMeta({
      engine: await openEngine(metaUrl),
      log: quiet,
      removeSlice: async (id, size) => {
        for (const key of keys(id, size)) await store.delete(key);
      },
    });
    for (const name of ['kept', 'cut', 'gone']) {
      const { attr } = await meta.create(root, ROOT, Buffer.from(name), 0o644, true);
      const [id, size] = [await meta.newSliceId(), PAGE + 1000];
      for (const key of keys(id, size)) await store.put(key, [Buffer.alloc(Number(key.split('_').at(-1)), name)]);
      await meta.commitSlices(root, attr.ino, [
        { indx: 0, slice: { pos: 0, id, size, off: 0, len: size }, ledger: [], mtime: attr.mtime },
      ]);
      if (name === 'cut') await meta.truncate(root, attr.ino, 5000n);
    }
    await meta.unlink(root, ROOT, Buffer.from('gone'));
    await meta.close();
    await store.close();
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    await juicefs.ok(['fsck', metaUrl, '--path', '/', '--recursive', '--sync-dir-stat']);
    assert.match(await juicefs.gc(metaUrl), /scanned 4 objects, 4 valid.* 0 leaked/);
    const place = temp.at('mnt-work');
    await juicefs.mount(metaUrl, place);
    assert.deepEqual(
      readFileSync(`${place}/kept`),
      Buffer.concat([Buffer.alloc(PAGE, 'kept'), Buffer.alloc(1000, 'kept')]),
    );
    assert.equal(readFileSync(`${place}/cut`).length, 5000);
    await juicefs.umount(place);
  });

  test('a self-managed volume is shut to every command of it, its record stays byte for byte', async () => {
    const file = temp.at('sealed.db');
    const metaUrl = `sqlite3://${file}`;
    const key = await makeKey(temp, 2048, 'pkcs8');
    await formatVolume({
      metaUrl,
      name: 'sealed',
      store: { storage: 'file', bucket: temp.at('sealed') },
      key: { kind: 'self-managed', pem: readFileSync(key.file) },
    });
    const before = query(file, 'SELECT name, value FROM jfs_setting');
    const storage = ['--storage', 'file', '--bucket', temp.at('sealed/')];
    const commands = [
      ['status', metaUrl],
      ['config', metaUrl, '--trash-days', '3', '--yes'],
      ['config', metaUrl, '--trash-days', '3', '--force'],
      ['format', metaUrl, 'sealed', ...storage],
      ['format', metaUrl, 'sealed', '--force', ...storage],
      ['fsck', metaUrl],
      ['gc', metaUrl],
      ['dump', metaUrl, temp.at('dump.json')],
      ['mount', '-d', '--no-usage-report', metaUrl, temp.folder('mnt-sealed')],
    ];
    for (const command of commands) assert.notEqual((await juicefs.run(command)).code, 0, command.join(' '));
    assert.deepEqual(query(file, 'SELECT name, value FROM jfs_setting'), before);
    assert.deepEqual(query(file, 'SELECT * FROM jfs_session2'), []);
  });
});
