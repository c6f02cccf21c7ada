// A bucket that keeps versions keeps what was deleted: wiping takes the versions and the marks of deletion, too, and only
// those of the one file system.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ListObjectVersionsCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { wipeObjects } from '../../../src/filesystem/removal/wipe.ts';
import { openStore } from '../../../src/filesystem/store/open-store.ts';
import { S3Server } from '../../harness/s3.ts';
import { makeTemp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';

const needed = needs('versitygw', 'openssl');
const bytes = [Buffer.from('in clear, once')];

for (const versioning of [true, false])
  test(`wiping a bucket ${versioning ? 'with' : 'without'} versions leaves nothing`, needed, async (t) => {
    const server = await S3Server.start(makeTemp(t), { versioning });
    const bucket = server.createBucket('kept');
    const { accessKey, secretKey, authority } = server;
    const client = new S3Client({
      endpoint: server.endpoint,
      region: server.region,
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
      requestHandler: new NodeHttpHandler({ httpsAgent: { ca: readFileSync(authority.file) } }),
    });
    if (versioning) {
      const on = { Bucket: 'kept', VersioningConfiguration: { Status: 'Enabled' } } as const;
      await client.send(new PutBucketVersioningCommand(on));
    }
    const store = await openStore({ storage: 'minio', bucket, accessKey, secretKey, caBundle: authority.pem });
    for (const key of ['doomed/a', 'doomed/a', 'doomed/b', 'other/a', 'other/a']) await store.put(key, bytes);
    await store.delete('doomed/b');
    const versions = async (prefix: string): Promise<number> => {
      const page = await client.send(new ListObjectVersionsCommand({ Bucket: 'kept', Prefix: prefix }));
      return (page.Versions ?? []).length + (page.DeleteMarkers ?? []).length;
    };
    if (versioning) assert.deepEqual([await versions('doomed/'), await versions('other/')], [4, 2]);
    // An object, and then of versions: two of a, one of b, a mark of each.
    assert.equal(await wipeObjects(store, 'doomed'), versioning ? 6 : 1);
    if (versioning) assert.deepEqual([await versions('doomed/'), await versions('other/')], [0, 2]);
    assert.equal(await wipeObjects(store, 'doomed'), 0);
    assert.ok(await store.head('other/a'));
    await store.close();
    client.destroy();
  });
