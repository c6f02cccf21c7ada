// Secrets as maps of text: what the controller may take out of them, what a node may, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { parseNodeSecret, parseProvisionerSecret } from '../../src/config/secret.ts';

const PRIVATE = '-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary-key\n-----END ENCRYPTED PRIVATE KEY-----\n';
const PUBLIC = '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n';
const place = { name: 'demo', metaurl: 'sqlite3:///e/meta.db\n', storage: 'File', bucket: '/e/objects/' };

const refused = (work: () => unknown, text: RegExp): void =>
  assert.throws(work, (error) => {
    assert(hasCode(error, 'bad-input'), String(error));
    assert.match(error.message, text);
    assert(!error.message.includes('canary'), error.message);
    return true;
  });

test('the controller never takes a private key or a passphrase out of the Secret', () => {
  const secret = parseProvisionerSecret({
    ...place,
    'rsa-public-key': PUBLIC,
    'rsa-key': PRIVATE,
    passphrase: 'canary-pass',
    envs: '{"JFS_RSA_PASSPHRASE":"canary-pass"}',
  });
  assert(!JSON.stringify(secret).includes('canary'));
  assert.equal(secret.hasPrivateKey, true);
  assert.equal(secret.publicKey, PUBLIC);
});

test('names and addresses lose the newline that base64 in a Secret often carries; the storage is lower case', () => {
  const { connection } = parseProvisionerSecret(place);
  assert.equal(connection.metaUrl, 'sqlite3:///e/meta.db');
  assert.equal(connection.storage, 'file');
});

test('a private key under rsa-public-key is refused', () => {
  refused(() => parseProvisionerSecret({ ...place, 'rsa-public-key': PRIVATE }), /public half/);
});

test('one custody per Secret', () => {
  refused(() => parseProvisionerSecret({ ...place, encrypt_rsa_key: PRIVATE, 'rsa-public-key': PUBLIC }), /exclude/);
  refused(() => parseProvisionerSecret({ ...place, encrypt_rsa_key: PRIVATE, 'rsa-key': PRIVATE }), /exclude/);
  assert.equal(parseProvisionerSecret({ ...place, encrypt_rsa_key: PRIVATE }).metadataKey?.toString(), PRIVATE);
});

test('the passphrase comes from its own key or from envs, verbatim', () => {
  assert.equal(parseNodeSecret({ passphrase: ' a b\n' })?.passphrase?.toString(), ' a b\n');
  const fromEnvs = parseNodeSecret({ envs: '{"JFS_RSA_PASSPHRASE":"p$ ", "OTHER": 1}' });
  assert.equal(fromEnvs?.passphrase?.toString(), 'p$ ');
  assert.equal(parseNodeSecret({ passphrase: '' })?.passphrase?.length, 0);
  assert.equal(parseNodeSecret({ name: 'x' })?.passphrase, undefined);
});

test('envs may be YAML, as the JuiceFS CSI driver documents them', () => {
  const passphraseOf = (envs: string): string | undefined => parseNodeSecret({ envs })?.passphrase?.toString();
  assert.equal(passphraseOf('{TZ: Asia/Shanghai, JFS_RSA_PASSPHRASE: correct horse}'), 'correct horse');
  assert.equal(passphraseOf('JFS_RSA_PASSPHRASE: "with: colon"\nTZ: UTC\n'), 'with: colon');
  assert.equal(passphraseOf('{JFS_RSA_PASSPHRASE: 0815}'), '0815', 'the text, not the number');
  assert.equal(passphraseOf('{JFS_RSA_PASSPHRASE: null}'), 'null', 'the text, not nothing');
  refused(() => parseNodeSecret({ envs: '{a: &a canary, JFS_RSA_PASSPHRASE: *a}' }), /envs/);
});

test('envs that are no JSON object, or contradict, are refused without being quoted', () => {
  refused(() => parseNodeSecret({ envs: '{"JFS_RSA_PASSPHRASE": canary' }), /envs/);
  refused(() => parseNodeSecret({ envs: '["canary"]' }), /envs/);
  refused(() => parseNodeSecret({ envs: '{"JFS_RSA_PASSPHRASE":"canary-1"}', passphrase: 'canary-2' }), /differ/);
});

test('an empty map is no Secret', () => {
  assert.equal(parseNodeSecret({}), undefined);
});

test('values with NUL bytes, several lines or of absurd length are refused', () => {
  refused(() => parseNodeSecret({ metaurl: 'canary\0' }), /metaurl/);
  refused(() => parseNodeSecret({ bucket: 'canary\nsecond' }), /bucket.*one line/);
  refused(() => parseNodeSecret({ 'rsa-key': 'canary'.repeat(10_000) }), /rsa-key/);
});

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';

test('certificates and keys are PEM text, and never the name of a file', () => {
  const key = CERTIFICATE.replaceAll('CERTIFICATE', 'PRIVATE KEY');
  const { connection } = parseProvisionerSecret({
    ...place,
    'ca-bundle': `# the cluster's own\n${CERTIFICATE}${CERTIFICATE}`,
    'client-certificate': CERTIFICATE,
    'client-key': `\n${key}`,
  });
  assert.deepEqual(
    [connection.caBundle, connection.clientCertificate, connection.clientKey],
    [CERTIFICATE + CERTIFICATE, CERTIFICATE, key],
  );
  for (const name of ['ca-bundle', 'client-certificate', 'client-key']) {
    for (const value of ['/etc/shadow', 'canary', '-----BEGIN canary', ' -----BEGIN '])
      refused(() => parseNodeSecret({ ...place, [name]: value }), new RegExp(name));
    assert.equal(parseNodeSecret({ ...place, [name]: ' \n' })?.connection.caBundle, undefined);
  }
  refused(() => parseNodeSecret({ ...place, 'client-key': PRIVATE }), /client-key/);
});

test("of envs only the names of the original client's driver count, and they must agree with keys of their own", () => {
  const variables = {
    META_PASSWORD: 'm',
    ACCESS_KEY: 'a',
    SECRET_KEY: 's',
    SESSION_TOKEN: 't',
    NODE_OPTIONS: 'x',
    HTTPS_PROXY: 'x',
  };
  const secret = parseProvisionerSecret({ ...place, envs: JSON.stringify(variables) });
  const { metaPassword, accessKey, secretKey, sessionToken } = secret.connection;
  assert.deepEqual([metaPassword, accessKey, secretKey, sessionToken], ['m', 'a', 's', 't']);
  assert(!JSON.stringify(secret).includes('"x"'));
  const own = { ...place, 'secret-key': 'canary-1', envs: JSON.stringify({ SECRET_KEY: 'canary-2' }) };
  refused(() => parseNodeSecret(own), /secret-key and SECRET_KEY/);
});

test('format-options are those of the original client', () => {
  const secret = parseProvisionerSecret({
    ...place,
    'format-options': 'trash-days=0, --block-size=1M,compress=zstd,hash-prefix',
  });
  assert.deepEqual(secret.formatOptions, { trashDays: 0, pageSize: 1 << 20, compression: 'zstd', hashPrefix: true });
  refused(() => parseProvisionerSecret({ ...place, 'format-options': 'block-size=3M' }), /block-size/);
  refused(() => parseProvisionerSecret({ ...place, 'format-options': 'force' }), /force/);
});
