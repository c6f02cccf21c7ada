// What every object store promises, over each of them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open as openFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { nativeFiles } from '../../src/cli/worker/files.ts';
import { openStore } from '../../src/filesystem/store/open-store.ts';
import type { ObjectInfo, ObjectStore } from '../../src/filesystem/store/store.ts';
import { connectProxy } from '../filesystem/store/connect-proxy.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const folder = await mkdtemp(join(tmpdir(), 'pageseal-store-'));
after(() => rm(folder, { recursive: true, force: true }));

/** Names below it are this server's by way of a proxy; its address is spoken to without. */
const DOMAIN = 's3.contract.test';
const s3Needs = needs('versitygw', 'openssl');
const s3 = s3Needs.skip === undefined ? await S3Server.start(makeTemp(), { virtualDomain: DOMAIN }) : undefined;
if (s3 !== undefined) {
  const proxy = await connectProxy(s3.port);
  after(() => proxy.close());
  Object.assign(process.env, { HTTPS_PROXY: proxy.url, NO_PROXY: s3.address });
}

/** In a bucket that it makes. */
async function openS3(storage: string, url: (bucket: string) => string): Promise<ObjectStore> {
  if (s3 === undefined) throw new Error('skipped without an S3 server');
  const { accessKey, secretKey } = s3;
  const bucket = url(`b${randomBytes(6).toString('hex')}`);
  return openStore({ storage, bucket, accessKey, secretKey, caBundle: s3.authority.pem }, { create: true });
}

const stores: Record<string, () => Promise<ObjectStore>> = {
  's3, by path': () => openS3('s3', (bucket) => s3?.url(bucket) ?? ''),
  // Its buckets are addressed by host, in the cloud and in a house of their own.
  's3, by virtual host': () => openS3('obs', (bucket) => `https://${bucket}.${DOMAIN}:${s3?.port}`),
  file: async () => openStore({ storage: 'file', bucket: `${await mkdtemp(join(folder, 'bucket-'))}/` }),
  'file, through the addon': async () => {
    const bucket = `${await mkdtemp(join(folder, 'addon-'))}/`;
    return openStore({ storage: 'file', bucket }, { files: nativeFiles });
  },
  mem: () => openStore({ storage: 'mem', bucket: `contract-${Math.random()}` }),
};

async function all(stream: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of stream) keys.push(key);
  return keys;
}

for (const [name, open] of Object.entries(stores)) {
  describe(`store ${name}`, name.startsWith('s3') ? s3Needs : {}, () => {
    test('gives back what was put, in parts or whole, also empty', async () => {
      const store = await open();
      await store.put('v/chunks/0/0/1_0_6', [Buffer.from('ab'), Buffer.alloc(0), Buffer.from('cdef')]);
      assert.equal((await store.get('v/chunks/0/0/1_0_6')).toString(), 'abcdef');
      await store.put('v/empty', []);
      assert.equal((await store.get('v/empty')).length, 0);
    });

    test('takes what an open file holds, as much as is said', async () => {
      const store = await open();
      const file = join(folder, `source-${Math.random()}`);
      const bytes = Buffer.alloc(700_000, 'bytes of a file ');
      await writeFile(file, bytes);
      const handle = await openFile(file);
      await store.putFile('v/meta/whole', handle, bytes.length);
      await store.putFile('v/meta/part', handle, 5);
      await handle.close();
      assert.ok((await store.get('v/meta/whole')).equals(bytes));
      assert.equal((await store.get('v/meta/part')).toString(), 'bytes');
    });

    test('replaces an object as a whole', async () => {
      const store = await open();
      await store.put('v/a', [Buffer.from('longer text')]);
      await store.put('v/a', [Buffer.from('short')]);
      assert.equal((await store.get('v/a')).toString(), 'short');
      assert.equal((await store.head('v/a'))?.size, 5);
    });

    test('the bytes of a get are the caller’s own', async () => {
      const store = await open();
      await store.put('v/a', [Buffer.from('bytes')]);
      const first = await store.get('v/a');
      assert.equal(first.buffer.byteLength, 5, 'memory not shared with other buffers');
      first.fill(0);
      assert.equal((await store.get('v/a')).toString(), 'bytes');
    });

    test('a missing object is object-missing for get, nothing for head, success for delete', async () => {
      const store = await open();
      await assert.rejects(store.get('v/none'), { code: 'object-missing' });
      await assert.rejects(store.get('v/no/such/folder'), { code: 'object-missing' });
      assert.equal(await store.head('v/none'), undefined);
      await store.delete('v/none');
      await store.put('v/there', [Buffer.from('x')]);
      await store.delete('v/there');
      await assert.rejects(store.get('v/there'), { code: 'object-missing' });
    });

    test('head answers size and time', async () => {
      const store = await open();
      const before = Date.now();
      await store.put('v/a', [Buffer.alloc(10)]);
      const info = await store.head('v/a');
      assert.equal(info?.key, 'v/a');
      assert.equal(info.size, 10);
      assert.ok(Math.abs(info.mtime - before) < 60_000);
    });

    test('get with a limit reads one byte more than it at most', async () => {
      const store = await open();
      await store.put('v/a', [Buffer.alloc(1000, 1)]);
      assert.equal((await store.get('v/a', undefined, 99)).length, 100);
      assert.equal((await store.get('v/a', undefined, 1000)).length, 1000);
    });

    test('lists in byte order of keys, by any prefix', async () => {
      const store = await open();
      const keys = ['v/a-b', 'v/a.b', 'v/a/1', 'v/a/10', 'v/a/2', 'v/a0', 'v/b/x/y', 'v/é', 'v/\u{1f600}', 'w/a'];
      for (const key of keys.toReversed()) await store.put(key, [Buffer.from(key)]);
      const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(await all(store.list('')), sorted);
      for (const prefix of ['v', 'v/', 'v/a', 'v/a/', 'v/a/1', 'v/b/', 'v/b/x/y', 'w/', 'none/', 'v/a/1/', 'v/zz'])
        assert.deepEqual(
          await all(store.list(prefix)),
          sorted.filter((key) => key.startsWith(prefix)),
          prefix,
        );
    });

    test('keys that lead out of the bucket are refused', async () => {
      const store = await open();
      for (const key of [
        '',
        '/etc/passwd',
        '../x',
        'v/../../x',
        'v//x',
        'v/./x',
        'v/x/',
        'v/\0',
        'v/'.padEnd(2000, 'x'),
      ]) {
        await assert.rejects(store.put(key, [Buffer.from('x')]), { code: 'bad-input' }, JSON.stringify(key));
        await assert.rejects(store.get(key), { code: 'bad-input' }, JSON.stringify(key));
        await assert.rejects(store.delete(key), { code: 'bad-input' }, JSON.stringify(key));
      }
    });

    test('a cancelled put leaves nothing', async () => {
      const store = await open();
      const signal = AbortSignal.abort();
      await assert.rejects(store.put('v/a', [Buffer.from('x')], signal), { code: 'cancelled' });
      await assert.rejects(store.get('v/a', signal), { code: 'cancelled' });
      assert.deepEqual(await all(store.list('')), []);
    });

    test('deletes many, missing ones too, and reports a key that is none', async () => {
      const store = await open();
      const keys = Array.from({ length: 23 }, (_, i) => `v/many/${i}`);
      await Promise.all([...keys, 'v/kept'].map((key) => store.put(key, [Buffer.from(key)])));
      await store.deleteMany([...keys, 'v/none', 'v/many/none/at/all']);
      assert.deepEqual(await all(store.list('')), ['v/kept']);
      await store.deleteMany([]);
      await assert.rejects(store.deleteMany(['v/kept', '../x']), { code: 'bad-input' });
    });

    test('lists what is behind a key', async () => {
      const store = await open();
      for (const key of ['v/a-b', 'v/a/1', 'v/b']) await store.put(key, [Buffer.from('x')]);
      assert.deepEqual(await all(store.list('v/', { after: 'v/a-b' })), ['v/a/1', 'v/b']);
      assert.deepEqual(await all(store.list('v/', { after: 'v/a' })), ['v/a-b', 'v/a/1', 'v/b']);
      assert.deepEqual(await all(store.list('v/', { after: 'v/b' })), []);
    });

    test('many at once into one new folder', async () => {
      const store = await open();
      const keys = Array.from({ length: 40 }, (_, i) => `v/chunks/0/7/${7000 + i}_0_3`);
      await Promise.all(keys.map((key) => store.put(key, [Buffer.from(key)])));
      for (const key of keys) assert.equal((await store.get(key)).toString(), key);
      assert.equal((await all(store.list('v/chunks/'))).length, 40);
    });
  });
}

describe('store file', () => {
  test('is laid out as bucket + key, without temporary files left over', async () => {
    const bucket = `${await mkdtemp(join(folder, 'layout-'))}/`;
    const store = await openStore({ storage: 'file', bucket });
    await store.put('v/chunks/0/0/1_0_3', [Buffer.from('abc')]);
    assert.deepEqual(await readdir(bucket, { recursive: true }), [
      'v',
      'v/chunks',
      'v/chunks/0',
      'v/chunks/0/0',
      'v/chunks/0/0/1_0_3',
    ]);
  });

  test('lists no temporary files, but what symbolic links lead to', async () => {
    const bucket = `${await mkdtemp(join(folder, 'links-'))}/`;
    const store = await openStore({ storage: 'file', bucket });
    await store.put('v/real/1', [Buffer.from('1')]);
    await writeFile(join(bucket, 'v/.jfs.1.tmp.abc'), 'half');
    await writeFile(join(bucket, 'v/.hidden'), 'an object all the same');
    await symlink('real', join(bucket, 'v/link'));
    await symlink('nowhere', join(bucket, 'v/broken'));
    assert.deepEqual(await all(store.list('v/')), ['v/.hidden', 'v/link/1', 'v/real/1']);
  });

  test('goes on when somebody removed its folders', async () => {
    const bucket = `${await mkdtemp(join(folder, 'removed-'))}/`;
    const store = await openStore({ storage: 'file', bucket });
    await store.put('v/chunks/0/0/1_0_1', [Buffer.from('1')]);
    await rm(join(bucket, 'v'), { recursive: true });
    await store.put('v/chunks/0/1/1000_0_1', [Buffer.from('2')]);
    assert.deepEqual(await all(store.list('')), ['v/chunks/0/1/1000_0_1']);
  });

  test('a missing bucket is store-unavailable, and made only on request', async () => {
    const bucket = join(folder, 'not', 'there', '/');
    await assert.rejects(openStore({ storage: 'file', bucket }), { code: 'store-unavailable' });
    const store = await openStore({ storage: 'file', bucket }, { create: true });
    await store.put('v/a', [Buffer.from('x')]);
    await rm(bucket, { recursive: true });
    const { FileStore } = await import('../../src/filesystem/store/file-store.ts');
    await assert.rejects(new FileStore(bucket).put('v/a', [Buffer.from('x')]), { code: 'store-unavailable' });
  });

  test('a bucket that is no absolute folder, and an unknown storage, are refused', async () => {
    await assert.rejects(openStore({ storage: 'file', bucket: 'relative/' }), { code: 'bad-input' });
    await assert.rejects(openStore({ storage: 'file', bucket: '/no/slash' }), { code: 'bad-input' });
    await assert.rejects(openStore({ storage: 'gopher', bucket: '/x/' }), { code: 'unsupported' });
  });
});

describe('store mem', () => {
  test('more than its capacity is store-full and changes nothing', async () => {
    const { MemStore, memBucket } = await import('../../src/filesystem/store/mem-store.ts');
    memBucket('small').capacity = 10;
    const store = new MemStore('small');
    await store.put('a', [Buffer.alloc(8)]);
    await assert.rejects(store.put('b', [Buffer.alloc(3)]), { code: 'store-full' });
    await store.put('a', [Buffer.alloc(10)]);
    assert.deepEqual(await all(store.list('')), ['a']);
  });
});
