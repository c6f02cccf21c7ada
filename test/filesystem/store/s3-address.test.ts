// The original client's spellings of --bucket, read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openStore } from '../../../src/filesystem/store/open-store.ts';
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

const addresses = [
  ['oss', 'https://data.oss-cn-hangzhou.aliyuncs.com', 's3.oss-cn-hangzhou.aliyuncs.com', 'cn-hangzhou', 'host'],
  [
    'oss',
    'http://data.oss-cn-hangzhou-internal.aliyuncs.com',
    's3.oss-cn-hangzhou-internal.aliyuncs.com',
    'cn-hangzhou',
    'host',
  ],
  ['cos', 'data.cos.ap-beijing.myqcloud.com', 'cos.ap-beijing.myqcloud.com', 'ap-beijing', 'host'],
  ['obs', 'https://data.obs.cn-east-3.myhuaweicloud.com', 'obs.cn-east-3.myhuaweicloud.com', 'cn-east-3', 'host'],
  ['bos', 'https://data.bj.bcebos.com', 's3.bj.bcebos.com', 'bj', 'host'],
  ['tos', 'https://data.tos-cn-beijing.volces.com', 'tos-s3-cn-beijing.volces.com', 'cn-beijing', 'host'],
  ['tos', 'https://data.tos-cn-beijing.ivolces.com', 'tos-s3-cn-beijing.ivolces.com', 'cn-beijing', 'host'],
  ['ks3', 'https://data.ks3-cn-beijing-internal.ksyuncs.com', 'ks3-cn-beijing-internal.ksyuncs.com', 'BEIJING', 'host'],
  ['ufile', 'https://data.cn-bj.ufileos.com', 's3-cn-bj.ufileos.com', 'cn-bj', 'path'],
  ['ufile', 'https://data.cn-sh2.ufileos.com', 's3-cn-sh2.ufileos.com', 'cn-sh2', 'path'],
  ['ufile', 'http://data.internal-cn-gd-02.ufileos.cn', 'internal.s3-cn-gd.ufileos.com', 'cn-gd', 'path'],
  ['ufile', 'http://data.internal.s3-cn-bj.ufileos.com', 'internal.s3-cn-bj.ufileos.com', 'cn-bj', 'path'],
  [
    'jss',
    'http://data.s3-internal.cn-north-1.jdcloud-oss.com',
    's3-internal.cn-north-1.jdcloud-oss.com',
    'cn-north-1',
    'path',
  ],
  ['qingstor', 'https://data.pek3a.qingstor.com', 's3.pek3a.qingstor.com', 'pek3a', 'path'],
  ['qiniu', 'https://data.s3-cn-east-1.qiniucs.com', 's3.cn-east-1.qiniucs.com', 'cn-east-1', 'path'],
  ['oos', 'https://data.oos-sdqd.ctyunapi.cn', 'oos-sdqd.ctyunapi.cn', 'sdqd', 'path'],
  ['eos', 'https://data.eos-beijing-1.cmecloud.cn', 'eos-beijing-1.cmecloud.cn', 'us-east-1', 'path'],
  ['scw', 'https://data.s3.fr-par.scw.cloud', 's3.fr-par.scw.cloud', 'fr-par', 'host'],
  ['space', 'https://data.nyc3.digitaloceanspaces.com', 'nyc3.digitaloceanspaces.com', 'nyc3', 'host'],
  ['wasabi', 'https://data.s3.wasabisys.com', 's3.wasabisys.com', 'us-east-1', 'host'],
  ['wasabi', 'https://data.s3.eu-central-1.wasabisys.com', 's3.eu-central-1.wasabisys.com', 'eu-central-1', 'host'],
  ['b2', 'https://data.s3.us-west-004.backblazeb2.com', 's3.us-west-004.backblazeb2.com', 'us-west-004', 'host'],
  [
    'ibmcos',
    'https://data.s3.us-east.cloud-object-storage.appdomain.cloud',
    's3.us-east.cloud-object-storage.appdomain.cloud',
    'us-east',
    'path',
  ],
  ['gs', 'gs://data', 'storage.googleapis.com', 'auto', 'path'],
  ['gs', 'data.us-east1', 'storage.googleapis.com', 'auto', 'path'],
  ['r2', 'https://0123abcd.r2.cloudflarestorage.com/data', '0123abcd.r2.cloudflarestorage.com', 'auto', 'path'],
  [
    's3',
    'http://data.s3-internal.cn-north-1.jdcloud-oss.com',
    's3-internal.cn-north-1.jdcloud-oss.com',
    'cn-north-1',
    'path',
  ],
] as const;

test('every other kind: endpoint, addressing and region', () => {
  for (const [storage, text, endpoint, region, style] of addresses) {
    const scheme = text.startsWith('http:') ? 'http' : 'https';
    assert.deepEqual(
      plain(s3Address(storage, text, {})),
      { bucket: 'data', endpoint: `${scheme}://${endpoint}`, region, pathStyle: style === 'path' },
      text,
    );
  }
});

test('hosts that speak no S3 are refused, with what is wanted', () => {
  for (const [storage, bucket] of [
    ['b2', 'data'],
    ['ufile', 'https://data.ufile.cn-north-02.ucloud.cn'],
    ['scw', 'https://data.example.test'],
  ] as const)
    assert.throws(() => s3Address(storage, bucket, {}), { code: 'bad-input', message: /a host of \w+ that speaks S3/ });
  assert.throws(() => s3Address('s3', 'https://s3.example.test/data?tls-insecure-skip-verify=true', {}), {
    code: 'refused',
    hint: /--ca-bundle/,
  });
});

test('kinds without an S3 interface are refused with a hint', async () => {
  for (const [storage, hint] of [
    ['wasb', /Azure/],
    ['webdav', /not an object store/],
    ['gopher', /known: file, s3, minio/],
  ] as const)
    await assert.rejects(openStore({ storage, bucket: 'data' }), { code: 'unsupported', hint });
});
