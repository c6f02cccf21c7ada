// Opening a bucket: where it is, whether it is there, and with whose keys.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { openStore } from '../../../src/filesystem/store/open-store.ts';
import type { ObjectStore, StoreSettings } from '../../../src/filesystem/store/store.ts';
import { S3Server } from '../../harness/s3.ts';
import { S3Proxy } from '../../harness/s3-proxy.ts';
import { makeTemp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';
import { bareServer } from './bare-server.ts';
import { withEnv } from './environment.ts';

const temp = makeTemp();
/** None of the machine's own are seen by these tests. */
const NO_KEYS = {
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_SESSION_TOKEN: undefined,
  AWS_PROFILE: undefined,
  AWS_SHARED_CREDENTIALS_FILE: temp.at('no-credentials'),
  AWS_CONFIG_FILE: temp.at('no-config'),
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_WEB_IDENTITY_TOKEN_FILE: undefined,
  AWS_REGION: undefined,
  AWS_DEFAULT_REGION: undefined,
};

describe('opening', needs('versitygw', 'openssl'), () => {
  let server: S3Server;
  before(async () => {
    server = await S3Server.start(temp, { region: 'eu-test-7' });
    server.createBucket('there');
  });

  const withKeys = (bucket: string): StoreSettings => {
    const { accessKey, secretKey } = server;
    return { storage: 's3', bucket, accessKey, secretKey, caBundle: server.authority.pem };
  };
  const withoutKeys = (storage = 's3'): StoreSettings => ({
    storage,
    bucket: server.url('there'),
    caBundle: server.authority.pem,
  });
  const works = async (store: ObjectStore): Promise<void> => {
    await store.put('v/works', [Buffer.from('it does')]);
    assert.equal((await store.get('v/works')).toString(), 'it does');
    await store.close();
  };

  test('the region is found out: by a body, by a header', async () => {
    await withEnv(NO_KEYS, async () => {
      await works(await openStore(withKeys(server.url('there'))));
      await withEnv({ AWS_REGION: 'us-west-2' }, async () => works(await openStore(withKeys(server.url('there')))));
      const proxy = await S3Proxy.start(temp, server);
      const headers = { 'x-amz-bucket-region': 'eu-test-7' };
      proxy.inject({ kind: 'answer', status: 301, code: 'PermanentRedirect', headers }, () => true, 1);
      await works(await openStore(withKeys(proxy.url('there'))));
      assert.deepEqual(proxy.counts(), { HEAD: 2, PUT: 1, GET: 1 });
      // One that sends us back and forth is no bucket's region.
      proxy.inject(
        { kind: 'answer', status: 301, code: 'PermanentRedirect', headers },
        ({ method }) => method === 'HEAD',
      );
      await assert.rejects(openStore(withKeys(proxy.url('there'))));
    });
  });

  test('a missing bucket is store-unavailable, and made only on request', async () => {
    const missing = withKeys(server.url('missing'));
    await assert.rejects(openStore(missing), { code: 'store-unavailable', message: /no such bucket/ });
    assert.ok(!readdirSync(server.folder).includes('missing'));
    await works(await openStore(missing, { create: true }));
    await works(await openStore(missing, { create: true }));
  });

  test('wrong keys are told as such', async () => {
    const given = withKeys(server.url('there'));
    const told = { code: 'unauthenticated', hint: /right, and not expired/ };
    await assert.rejects(openStore({ ...given, secretKey: 'wrong' }), { ...told, message: /SignatureDoesNotMatch/ });
    await assert.rejects(openStore({ ...given, accessKey: 'nobody' }), { ...told, message: /access key/ });
  });

  test('a server that is not there is store-unavailable, and whoever asks is told soon', async () => {
    const gone = await S3Server.start(temp);
    await gone.stop();
    await assert.rejects(openStore({ ...withKeys(gone.url('there')) }), {
      code: 'store-unavailable',
      message: /ECONNREFUSED/,
    });
  });

  test('keys come from the environment, a profile, or the variables of the kind', async () => {
    const { accessKey, secretKey } = server;
    await withEnv(NO_KEYS, async () => {
      await assert.rejects(openStore(withoutKeys()), { code: 'unauthenticated', hint: /access key/ });
      const pair = { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey };
      await withEnv(pair, async () => works(await openStore(withoutKeys())));
      const profile = temp.at('credentials');
      writeFileSync(profile, `[other]\naws_access_key_id = ${accessKey}\naws_secret_access_key = ${secretKey}\n`);
      await withEnv({ AWS_SHARED_CREDENTIALS_FILE: profile, AWS_PROFILE: 'other' }, async () =>
        works(await openStore(withoutKeys())),
      );
      await withEnv({ MINIO_ACCESS_KEY: accessKey, MINIO_SECRET_KEY: secretKey }, async () =>
        works(await openStore(withoutKeys('minio'))),
      );
    });
  });

  test('AWS’s keys are shown to nobody else', async () => {
    const pair = { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey };
    await withEnv({ ...NO_KEYS, ...pair }, () =>
      assert.rejects(openStore({ ...withoutKeys('oss'), bucket: 'https://there.oss-cn-hangzhou.aliyuncs.com' }), {
        code: 'unauthenticated',
        hint: /ALICLOUD_ACCESS_KEY_ID/,
      }),
    );
  });

  test('a service account’s token is exchanged for keys over TLS, and once more when they have expired', async () => {
    const certificate = await server.authority.server(['127.0.0.1']);
    // Without a session token, of which the test's S3 server knows none.
    const answer = (): string =>
      `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
      <Credentials><AccessKeyId>${server.accessKey}</AccessKeyId><SecretAccessKey>${server.secretKey}</SecretAccessKey>
      <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
      </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
    const tokens = await bareServer(certificate, {}, answer);
    const token = temp.at('token');
    writeFileSync(token, 'a.service.account');
    const role = {
      AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/pageseal',
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
      AWS_REGION: 'eu-test-7',
    };
    await withEnv({ ...NO_KEYS, ...role, AWS_ENDPOINT_URL_STS: tokens.url }, async () => {
      const proxy = await S3Proxy.start(temp, server);
      const store = await openStore({ ...withoutKeys(), bucket: proxy.url('there') });
      assert.equal(tokens.requests.length, 1);
      proxy.inject({ kind: 'answer', status: 400, code: 'ExpiredToken' }, ({ method }) => method === 'PUT', 1);
      await works(store);
      assert.equal(tokens.requests.length, 2);
    });
    const clear = tokens.url.replace('https:', 'http:');
    await withEnv({ ...NO_KEYS, ...role, AWS_ENDPOINT_URL_STS: clear }, () =>
      assert.rejects(openStore(withoutKeys()), { code: 'refused', message: /transport rule/ }),
    );
  });

  test('session tokens and storage classes are sent, anonymous requests are not signed', async () => {
    const bare = await bareServer(await server.authority.server(['127.0.0.1']));
    const given = { ...withKeys(`${bare.url}/there`), sessionToken: 'a-session', storageClass: 'STANDARD_IA' };
    const store = await openStore(given);
    await store.put('v/a', [Buffer.from('x')]);
    const [, put] = bare.requests;
    assert.equal(put?.headers['x-amz-security-token'], 'a-session');
    assert.equal(put?.headers['x-amz-storage-class'], 'STANDARD_IA');
    assert.equal(put?.headers['x-amz-content-sha256'], 'UNSIGNED-PAYLOAD');
    assert.equal(put?.headers['if-none-match'], undefined);
    assert.ok(put?.headers['content-md5'] && put.headers['x-amz-checksum-crc32'], 'both until one is known');
    await store.put('v/b', [Buffer.from('x')], undefined, { onlyNew: true });
    assert.equal(bare.requests[2]?.headers['if-none-match'], '*');
    assert.equal(bare.requests[2]?.headers['x-amz-checksum-crc32'], undefined, 'the server did not repeat it');
    await store.close();
    const anonymous = await openStore({ ...given, accessKey: 'anonymous', secretKey: '' });
    await anonymous.put('v/a', [Buffer.from('x')]);
    assert.equal(bare.requests.at(-1)?.headers['authorization'], undefined);
    assert.equal(bare.requests.at(-1)?.method, 'PUT');
    await anonymous.close();
  });
});
