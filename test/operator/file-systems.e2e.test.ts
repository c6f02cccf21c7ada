// The operator on a real API server, PostgreSQL and S3: what is declared is made, kept, refused and removed.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { secrets } from '../../src/kube/resources.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { Declared, NAMESPACE, needed, type SecretData } from './declared.ts';

const temp = makeTemp();
let all: Declared;

before(async () => {
  if (needed.skip !== undefined) return;
  all = await Declared.make(temp);
  all.start();
});

test('a declared file system is made, encrypted, and Ready', needed, async () => {
  await all.declare('made', { pageSize: '1MiB', trashDays: 3, compression: 'zstd' });
  const { status, metadata } = await all.ready('made');
  assert.deepEqual(metadata.finalizers, ['pageseal.dev/file-system']);
  assert.equal(status?.encrypted, true);
  assert.equal(status?.owner, 'operator');
  assert.equal(status?.encryption, 'self-managed');
  assert.equal(status?.observedGeneration, metadata.generation);
  assert.deepEqual(status?.counts, {
    ...{ inodes: 0, trash: 0, sustained: 0, pendingSlices: 0, delayedSlices: 0, snapshots: 0, objects: 0, sessions: 0 },
  });
  const record = await all.sql('made', 'SELECT value FROM jfs_setting');
  assert.match(record, new RegExp(`"UUID": "${status?.uuid}"`));
  for (const setting of ['"BlockSize": 1024', '"Compression": "zstd"', '"TrashDays": 3'])
    assert.ok(record.includes(setting), record);
  assert.deepEqual(all.objects('made'), ['juicefs_uuid']);
  assert.ok(!all.object('made', 'juicefs_uuid').includes(status?.uuid ?? '-'));
  for (const reason of ['Formatting', 'Formatted', 'Ready', 'Encrypted']) await all.event('made', reason);
});

test('a Secret that is missing or wrong is waited for, and says what is wrong', needed, async () => {
  const wrongs: readonly (readonly [object, string, RegExp])[] = [
    [
      { envs: '{"META_PASSWORD":"canary-4f1d of a wrong one"}' },
      'MetadataUnavailable',
      /password authentication failed/,
    ],
    [{ bucket: 'https://10.9.8.7/objects' }, 'Refused', /10\.9\.8\.7:443 is not among the endpoints/],
    [{ bucket: all.proxy.url('objects').replace('https', 'http') }, 'Refused', /the transport rule wants https/],
    [{ storage: 'file', bucket: '/var/lib/objects' }, 'Refused', /paths of a node/],
    [{ 'secret-key': 'canary-4f1d of a wrong one' }, 'Unauthenticated', /objects/],
    [{ 'rsa-public-key': '-----BEGIN PRIVATE KEY-----\n' }, 'BadInput', /rsa-public-key: is a private key/],
    [{ name: '' }, 'BadInput', /name: is missing/],
    [{ metaurl: 'postgres://waiting@127.0.0.1/waiting' }, 'Refused', /refuses this machine/],
  ];
  const one = async ([change, reason, words]: (typeof wrongs)[number], index: number): Promise<void> => {
    const name = `waiting-${index}`;
    const data = await all.secretData(name);
    await all.declareOnly(name);
    const missing = await all.reason(name, 'Ready', 'SecretMissing');
    assert.equal(missing.message, `waiting for Secret ${name} in this namespace`);
    await all.putSecret(name, { ...data, ...change });
    const { message } = await all.reason(name, 'Ready', reason);
    assert.match(message, words);
    assert.match((await all.find(name))?.status?.phase ?? '', /^(Pending|Formatting)$/);
    assert.equal((await all.event(name, reason)).type, 'Warning');
    await all.putSecret(name, data);
    await all.ready(name);
  };
  await Promise.all(wrongs.map(one));
});

test('what the record says of encryption counts, and a key that is another one is said', needed, async () => {
  await all.declare('strict');
  const { status } = await all.ready('strict');
  await all.delete('strict');
  await all.gone('strict');
  await all.declareOnly('strict', { encryption: 'none' });
  const refused = await all.reason('strict', 'EncryptionReady', 'RecordSaysEncrypted');
  assert.match(refused.message, /is encrypted, and the object says none/);
  assert.equal((await all.find('strict'))?.status?.phase, 'Blocked');
  await all.change('strict', { encryption: 'required' });
  assert.equal((await all.ready('strict')).status?.uuid, status?.uuid);
});

test('a Secret that leads elsewhere later does not make it another file system, nor a new one', needed, async () => {
  await all.declare('steady', { deletionPolicy: 'Delete' });
  await all.declare('other');
  const { status } = await all.ready('steady');
  await all.ready('other');
  const data = async (name: string): Promise<SecretData> =>
    (await all.client.get(secrets, { name, namespace: NAMESPACE })).data ?? {};
  const own = await data('steady');
  let trashDays = 1;
  const leadTo = async (changed: SecretData): Promise<void> => {
    await all.client.patch(secrets, { name: 'steady', namespace: NAMESPACE }, { data: changed });
    // A change of the object is looked at at once.
    await all.change('steady', { trashDays: ++trashDays });
  };
  await leadTo(await data('other'));
  const elsewhere = await all.reason('steady', 'Ready', 'Conflict');
  assert.match(elsewhere.message, new RegExp(`this object is of ${status?.uuid}`));
  const { metaUrl } = await all.postgres.createDatabase('empty');
  const url = new URL(metaUrl);
  await leadTo({ ...own, metaurl: Buffer.from(`postgres://empty@${url.host}/empty`).toString('base64') });
  const gone = await all.reason('steady', 'Ready', 'NotFormatted');
  assert.match(gone.message, new RegExp(`file system ${status?.uuid} is gone`));
  await leadTo(await data('other'));
  await all.delete('steady');
  await all.reason('steady', 'Ready', 'Conflict');
  assert.deepEqual(all.objects('other'), ['juicefs_uuid']);
  await all.client.patch(secrets, { name: 'steady', namespace: NAMESPACE }, { data: own });
  await all.gone('steady');
  assert.deepEqual([all.objects('steady'), all.objects('other')], [[], ['juicefs_uuid']]);
});

test(
  'a second object for a file system is a Conflict; the oldest has it, and the next when that is gone',
  needed,
  async () => {
    await all.declare('first');
    await all.ready('first');
    await all.declareOnly('second', { secretName: 'first', deletionPolicy: 'Delete' });
    const conflict = await all.reason('second', 'Conflict', 'DeclaredTwice');
    assert.match(conflict.message, /is declared by default\/first, which is older/);
    assert.equal((await all.find('second'))?.status?.phase, 'Conflict');
    assert.equal((await all.find('first'))?.status?.phase, 'Ready');
    // The loser lets go whatever its policy says.
    await all.declareOnly('third', { secretName: 'first', deletionPolicy: 'Delete' });
    await all.reason('third', 'Conflict', 'DeclaredTwice');
    await all.delete('third');
    await all.gone('third');
    assert.deepEqual(all.objects('first'), ['juicefs_uuid']);
    await all.delete('first');
    await all.gone('first');
    await all.ready('second');
    assert.equal((await all.reason('second', 'Conflict', 'NoConflict')).status, 'False');
  },
);

test('deleted with Retain everything stays, with Delete nothing does', needed, async () => {
  await all.declare('kept');
  await all.declare('removed', { deletionPolicy: 'Delete' });
  await Promise.all([all.ready('kept'), all.ready('removed')]);
  await all.delete('kept');
  await all.gone('kept');
  assert.deepEqual(all.objects('kept'), ['juicefs_uuid']);
  assert.equal(await all.sql('kept', 'SELECT COUNT(*) FROM jfs_setting'), '1');
  assert.match((await all.event('kept', 'Released')).message, /stays as it is/);
  const { data: kept } = await all.client.get(secrets, { name: 'removed', namespace: NAMESPACE });
  await all.client.remove(secrets, { name: 'removed', namespace: NAMESPACE });
  await all.delete('removed');
  const waits = await all.reason('removed', 'Ready', 'SecretMissing');
  assert.match(waits.message, /without it the file system cannot be removed/);
  assert.deepEqual(all.objects('removed'), ['juicefs_uuid']);
  await all.client.create(secrets, {
    metadata: { name: 'removed', namespace: NAMESPACE },
    ...(kept && { data: kept }),
  });
  await all.gone('removed');
  assert.deepEqual(all.objects('removed'), []);
  const tables = `SELECT COUNT(*) FROM information_schema.tables WHERE table_name ~ '^(jfs|pageseal)_'`;
  assert.equal(await all.sql('removed', tables), '0');
  const said = (await all.event('removed', 'Removed')).message;
  assert.match(said, /1 objects and its metadata; copies .* stay readable for whoever has the key/);
});

test('what is in use is not removed, and the condition says by what', needed, async () => {
  await all.declare('used', { deletionPolicy: 'Delete' });
  await all.ready('used');
  const session = `INSERT INTO jfs_session2 (sid, expire, info) VALUES (77, ${Math.floor(Date.now() / 1000) + 600}, '{"HostName":"worker-7"}')`;
  await all.sql('used', session);
  await all.delete('used');
  const live = await all.reason('used', 'Ready', 'LiveSession');
  assert.match(live.message, /worker-7/);
  await all.sql('used', 'DELETE FROM jfs_session2');
  await all.sql(
    'used',
    `INSERT INTO pageseal_volume (id, request, inode, params, capacity, state) VALUES ('v', 'r', 9, '', 0, 'ready')`,
  );
  const volumes = await all.reason('used', 'Ready', 'CsiVolume');
  assert.match(volumes.message, /1 volume/);
  assert.deepEqual(all.objects('used'), ['juicefs_uuid']);
  await all.sql('used', 'DELETE FROM pageseal_volume');
  await all.gone('used');
  assert.deepEqual(all.objects('used'), []);
});

test('two operators have one lease, and it is handed over', needed, async () => {
  const lease = (): Promise<string> =>
    all.api.kubectl('get', 'lease', 'pageseal-operator', '-o', 'jsonpath={.spec.holderIdentity}');
  const first = await lease();
  assert.notEqual(first, '');
  assert.equal(await all.stop(), 0);
  assert.equal(await lease(), '');
  all.start();
  await until('another holder', async () => !['', first].includes(await lease()));
});

test('no secret value is in a log, a status, an Event or a metric', needed, async () => {
  const texts = [all.log, await all.api.kubectl('get', 'pfs,events,leases', '-A', '-o', 'json')];
  assert.ok(all.log.includes('"level":"debug"') || all.log.length > 1000);
  for (const value of all.secretValues) for (const text of texts) assert.ok(!text.includes(value), value);
});
