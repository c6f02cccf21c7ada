// The original client as the judge of what --storage and --bucket mean: what it puts under an address is found by us under
// the same one, and what we put is removed by it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { openStore } from '../../src/filesystem/store/open-store.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const temp = makeTemp();

describe('addresses of both clients', needs('versitygw', 'openssl', 'juicefs'), () => {
  let server: S3Server;
  let juicefs: Juicefs;
  before(async () => {
    server = await S3Server.start(temp);
    // Trust, for a program that knows no flag for it.
    juicefs = new Juicefs(temp, undefined, { SSL_CERT_FILE: server.authority.file });
  });

  /** The bucket's name stands where $ is. `localhost` is a host with a dot before it once a bucket is. */
  const spellings: readonly (readonly [string, string, string])[] = [
    ['s3', 'by path', 'https://127.0.0.1:PORT/$'],
    ['s3', 'by path, with a slash at the end', 'https://127.0.0.1:PORT/$/'],
    ['s3', 'by host', 'https://$.localhost:PORT'],
    ['s3', 'with a setting of the original client', 'https://127.0.0.1:PORT/$?disable-checksum=true'],
    ['minio', 'by path', 'https://127.0.0.1:PORT/$'],
    ['minio', 'behind a path of a proxy', 'https://127.0.0.1:PORT/minio/$'],
    ['minio', 'with more behind it', 'https://127.0.0.1:PORT/$/more'],
    ['minio', 'with a region', 'https://127.0.0.1:PORT/$?region=us-east-1'],
    ['eos', 'by host', 'https://$.localhost:PORT'],
  ];
  for (const [i, [storage, how, spelling]] of spellings.entries())
    test(`${storage}, ${how}`, async () => {
      const name = `bucket${i}`;
      server.createBucket(name);
      const bucket = spelling.replace('PORT', `${server.port}`).replace('$', name);
      const { accessKey, secretKey } = server;
      const metaUrl = `sqlite3://${temp.at(`${name}.db`)}`;
      const keys = ['--access-key', accessKey, '--secret-key', secretKey];
      await juicefs.ok(['format', metaUrl, 'vol', '--storage', storage, '--bucket', bucket, '--no-update', ...keys]);
      assert.ok(existsSync(join(server.folder, name, 'vol/juicefs_uuid')));

      const store = await openStore({ storage, bucket, accessKey, secretKey, caBundle: server.authority.pem });
      const found: string[] = [];
      for await (const { key } of store.list('vol/')) found.push(key);
      assert.deepEqual(found, ['vol/juicefs_uuid']);
      await store.put('vol/chunks/0/0/7_0_5', [Buffer.from('page!')]);
      await store.close();

      const said = await juicefs.ok(['gc', metaUrl, '--delete']);
      assert.match(said, /1 leaked/, 'the original client sees our object');
      assert.ok(!existsSync(join(server.folder, name, 'vol/chunks/0/0/7_0_5')), 'and removes it');
    });
});
