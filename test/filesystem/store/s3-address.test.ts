// The original client's spellings of --bucket, read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordedPlace, s3Address } from '../../../src/filesystem/store/s3-address.ts';

const plain = ({ endpoint, ...rest }: ReturnType<typeof s3Address>): object => ({
  ...rest,
  ...(endpoint && { endpoint: endpoint.origin }),
});

test('s3: AWS by host, path and bare name', () => {
  const aws = (region: string): object => ({ bucket: 'my.data', pathStyle: false, region });
  for (const [text, wanted] of [
    ['https://my.data.s3.eu-west-1.amazonaws.com', aws('eu-west-1')],
    ['https://my.data.s3-eu-west-1.amazonaws.com', aws('eu-west-1')],
    ['https://s3.eu-west-1.amazonaws.com/my.data/', aws('eu-west-1')],
    ['my.data.s3.cn-north-1.amazonaws.com.cn', aws('cn-north-1')],
    ['https://my.data.s3.amazonaws.com', aws('us-east-1')],
    ['https://s3-external-1.amazonaws.com/my.data', aws('us-east-1')],
    ['https://my.data.s3.dualstack.eu-west-1.amazonaws.com', { ...aws('eu-west-1'), dualStack: true }],
    ['https://my.data.s3-fips.us-east-2.amazonaws.com', { ...aws('us-east-2'), fips: true }],
    ['mydata', { bucket: 'mydata', pathStyle: false }],
  ] as const)
    assert.deepEqual(plain(s3Address('s3', text, {})), wanted, text);
});

test('s3: other stores by path, or by virtual host when the environment says so', () => {
  const other = { bucket: 'data', endpoint: 'https://s3.example.test:9000', pathStyle: true };
  assert.deepEqual(plain(s3Address('s3', 'https://s3.example.test:9000/data', {})), other);
  assert.deepEqual(plain(s3Address('s3', 'https://data.s3.example.test:9000/', {})), other);
  assert.deepEqual(plain(s3Address('s3', 's3.example.test:9000/data', {})), other, 'no scheme is https');
  assert.equal(s3Address('s3', 'https://s3.example.test/data', { JFS_S3_VHOST_STYLE: '1' }).pathStyle, false);
  assert.equal(s3Address('s3', 'https://data.s3.gra.cloud.ovh.net', {}).region, 'gra');
});

test('minio: by path, region from query or environment', () => {
  const wanted = { bucket: 'data', endpoint: 'https://minio.test:9000', pathStyle: true, region: 'us-east-1' };
  assert.deepEqual(plain(s3Address('minio', 'https://minio.test:9000/data', {})), wanted);
  assert.deepEqual(plain(s3Address('minio', 'minio.test:9000/data', {})), wanted);
  assert.deepEqual(plain(s3Address('minio', 'https://minio.test:9000/minio/data', {})), wanted);
  assert.equal(s3Address('minio', 'https://minio.test/data?region=here', { MINIO_REGION: 'there' }).region, 'here');
  assert.equal(s3Address('minio', 'https://minio.test/data', { MINIO_REGION: 'there' }).region, 'there');
  assert.throws(() => s3Address('minio', 'https://minio.test', {}), { code: 'bad-input' });
});

test('what is recorded is found by the original client, too, and over TLS', () => {
  for (const [storage, bucket, wanted] of [
    ['minio', 'minio.test:9000/data', 'https://minio.test:9000/data'],
    ['s3', 's3.example.test/data', 'https://s3.example.test/data'],
    ['s3', 'https://s3.example.test/data', 'https://s3.example.test/data'],
    ['s3', 'data', 'data'],
    ['oss', 'data.oss-cn-hangzhou.aliyuncs.com', 'data.oss-cn-hangzhou.aliyuncs.com'],
  ] as const)
    assert.deepEqual(recordedPlace(storage, bucket), { storage, bucket: wanted });
  const r2 = 'https://0123abcd.r2.cloudflarestorage.com/data';
  assert.deepEqual(recordedPlace('r2', r2), { storage: 's3', bucket: r2 });
  assert.deepEqual(s3Address('s3', r2, {}), s3Address('r2', r2, {}));
});

test('keys in an address are refused and not repeated', () => {
  assert.throws(
    () => s3Address('s3', 'https://AKIA:topsecret@s3.example.test/data', {}),
    (error: Error) => !error.message.includes('topsecret'),
  );
});
