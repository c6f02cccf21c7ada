// Opening file systems: the real metadata and pages, objects in memory.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import type { FormatKey } from '../../src/filesystem/format-record.ts';
import { openFileSystem } from '../../src/filesystem/open.ts';
import type { FileSystem, OpenOptions } from '../../src/filesystem/options.ts';
import { dropMemBucket, memBucket } from '../../src/filesystem/store/mem-store.ts';
import { makeTemp } from '../harness/temp.ts';

const temp = makeTemp();
const caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };
const O_RDWR = 2;

const generate = (): Buffer =>
  Buffer.from(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }));
const rightKey = generate();
const otherKey = generate();
const pem = (key: Buffer) => ({ kind: 'pem', pem: Buffer.from(key) }) as const;

let count = 0;
async function format(key: FormatKey) {
  const bucket = `open-test-${++count}`;
  const metaUrl = `sqlite3://${temp.at(`${bucket}.db`)}`;
  after(() => dropMemBucket(bucket));
  await formatVolume({ metaUrl, name: 'demo', store: { storage: 'mem', bucket }, key, pageSize: 65_536 });
  const open = (options: Partial<OpenOptions> = {}) => openFileSystem({ metaUrl, ...options });
  return { metaUrl, bucket: memBucket(bucket), open, database: temp.at(`${bucket}.db`) };
}

async function write(fs: FileSystem, name: string, data: Buffer): Promise<bigint> {
  const [{ attr }, { handle }] = await fs.vfs.create(caller, fs.vfs.root, Buffer.from(name), 0o644, O_RDWR);
  await fs.vfs.write(caller, attr.ino, handle, 0n, data);
  await fs.vfs.flush(caller, attr.ino, handle);
  await fs.vfs.release(caller, attr.ino, handle);
  return attr.ino;
}

async function read(fs: FileSystem, name: string): Promise<Buffer> {
  const { attr } = await fs.vfs.lookup(caller, fs.vfs.root, Buffer.from(name));
  const { handle } = await fs.vfs.open(caller, attr.ino, 0);
  try {
    return Buffer.concat(await fs.vfs.read(caller, attr.ino, handle, 0n, 1 << 24));
  } finally {
    await fs.vfs.release(caller, attr.ino, handle);
  }
}

async function refuses(opening: Promise<FileSystem>, code: Parameters<typeof hasCode>[1]): Promise<void> {
  const fs = await opening.catch((thrown: unknown) => thrown);
  if (!(fs instanceof Error)) await (fs as FileSystem).close();
  assert.ok(hasCode(fs, code), `wanted ${code}, found ${fs}`);
}

const data = randomBytes(200_000);

test('a self-managed volume: sealed, claimed once, opened with its own key only', async () => {
  const volume = await format({ kind: 'self-managed' });
  const fs = await volume.open({ key: pem(rightKey) });
  await write(fs, 'a', data);
  const unlocked = fs.unlockedKey();
  await fs.close();
  for (const [name, object] of volume.bucket.objects)
    assert.ok(!object.bytes.includes(data.subarray(0, 32)), `${name} is readable`);
  await refuses(volume.open({ key: pem(otherKey) }), 'wrong-key');
  await refuses(volume.open(), 'key-required');
  await refuses(volume.open({ key: { kind: 'in-metadata' } }), 'key-required');
  assert.ok(unlocked);
  const sources = [() => pem(rightKey), () => ({ kind: 'unlocked', der: Buffer.from(unlocked) }) as const];
  for (const key of sources)
    for (const readOnly of [true, false]) {
      const again = await volume.open({ key: key(), readOnly });
      assert.deepEqual(await read(again, 'a'), data);
      assert.equal(again.vfs.readOnly, readOnly);
      await again.close();
    }
});

test('a key in the metadata opens the volume, and so does the same one from outside', async () => {
  const volume = await format({ kind: 'in-metadata', pem: Buffer.from(rightKey) });
  const fs = await volume.open({ key: { kind: 'in-metadata' } });
  await write(fs, 'a', data);
  await fs.close();
  await refuses(volume.open({ key: pem(otherKey) }), 'wrong-key');
  await refuses(volume.open(), 'key-required');
  const again = await volume.open({ key: pem(rightKey) });
  assert.deepEqual(await read(again, 'a'), data);
  await again.close();
});

test('a volume that an older version wrote is read by its ledger, and gets the tables it lacks when it is written', async () => {
  const volume = await format({ kind: 'self-managed' });
  const key = () => pem(rightKey);
  const first = await volume.open({ key: key() });
  await write(first, 'file', Buffer.from('bytes'));
  await first.close();
  const database = new DatabaseSync(volume.database);
  database.exec('DROP TABLE pageseal_owner_usage');
  const tables = "SELECT name FROM sqlite_master WHERE name = 'pageseal_owner_usage'";
  for (const readOnly of [true, false]) {
    const again = await volume.open({ key: key(), readOnly });
    assert.equal(String(await read(again, 'file')), 'bytes');
    await again.close();
    assert.equal(database.prepare(tables).all().length, readOnly ? 0 : 1);
  }
  database.close();
});

test('an unencrypted volume wants no key, and a key wants an encrypted one', async () => {
  const volume = await format({ kind: 'none' });
  const fs = await volume.open();
  assert.equal(fs.encrypted, false);
  await write(fs, 'a', data);
  assert.deepEqual(await read(fs, 'a'), data);
  await fs.close();
  await refuses(volume.open({ key: pem(rightKey) }), 'encryption-mismatch');
});

test('a record edited to say "not encrypted" is refused', async () => {
  for (const key of [
    { kind: 'self-managed', pem: Buffer.from(rightKey) },
    { kind: 'in-metadata', pem: Buffer.from(rightKey) },
  ] as const) {
    const volume = await format(key);
    const db = new DatabaseSync(volume.database);
    const { value } = db.prepare("SELECT value FROM jfs_setting WHERE name = 'format'").get() as { value: string };
    const record = JSON.stringify({ ...JSON.parse(value), EncryptKey: '', MetaVersion: 1 });
    db.prepare("UPDATE jfs_setting SET value = ? WHERE name = 'format'").run(record);
    db.close();
    await refuses(volume.open({ key: pem(rightKey) }), 'encryption-mismatch');
    await refuses(volume.open(), 'key-required');
  }
});

test('subdir is the root of what is served', async () => {
  const volume = await format({ kind: 'none' });
  const fs = await volume.open();
  const { attr } = await fs.vfs.mkdir(caller, fs.vfs.root, Buffer.from('a'), 0o755);
  await fs.vfs.mkdir(caller, attr.ino, Buffer.from('b'), 0o755);
  await write(fs, 'file', data);
  await fs.close();
  const sub = await volume.open({ subdir: '/a/b/' });
  await write(sub, 'inside', data);
  await sub.close();
  const whole = await volume.open({ subdir: 'a', readOnly: true });
  const { attr: b } = await whole.vfs.lookup(caller, whole.vfs.root, Buffer.from('b'));
  await whole.vfs.lookup(caller, b.ino, Buffer.from('inside'));
  await assert.rejects(whole.vfs.unlink(caller, b.ino, Buffer.from('inside')), (e) => hasCode(e, 'EROFS'));
  await whole.close();
  await refuses(volume.open({ subdir: 'file' }), 'ENOTDIR');
  await refuses(volume.open({ subdir: 'nowhere' }), 'ENOENT');
});

test('a full store is told by fsync and close, and what was there stays', async () => {
  const volume = await format({ kind: 'self-managed', pem: Buffer.from(rightKey) });
  const fs = await volume.open({ key: pem(rightKey) });
  const ino = await write(fs, 'a', data);
  volume.bucket.capacity = 1;
  const { handle } = await fs.vfs.open(caller, ino, O_RDWR);
  await fs.vfs.write(caller, ino, handle, 1000n, randomBytes(100_000));
  await assert.rejects(fs.vfs.fsync(caller, ino, handle), (e) => hasCode(e, 'store-full'));
  await fs.vfs.write(caller, ino, handle, 1000n, randomBytes(100_000));
  await assert.rejects(fs.vfs.flush(caller, ino, handle), (e) => hasCode(e, 'store-full'));
  await fs.vfs.release(caller, ino, handle);
  volume.bucket.capacity = Number.POSITIVE_INFINITY;
  assert.deepEqual(await read(fs, 'a'), data);
  await fs.close();
});
