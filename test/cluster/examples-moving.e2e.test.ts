// Examples that bring data under encryption, or existing volumes under this driver, as they are printed: a copying Job, a
// declared file system that is wiped and turned encrypted, a static volume, and a volume of the original client.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { makeKey } from '../harness/keys.ts';
import { run, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { juicefsProgram, needs } from '../harness/tools.ts';
import { Examples, PASSPHRASE } from './examples.ts';
import { type Cluster, clusterNeeds, sharedCluster } from './harness/cluster.ts';
import { upgrade } from './harness/upgrade.ts';
import { hostAliases } from './testbed/servers.ts';

const AUTHORITIES = 'test-authorities';
const needed = needs(...clusterNeeds, 'juicefs');

describe('examples that move volumes', needed, () => {
  let cluster: Cluster;
  let examples: Examples;
  const made: string[] = [];
  // Before the folder's own hook, with which database and buckets go.
  after(async () => {
    for (const name of made) await examples.remove(name);
    await upgrade(cluster);
    await cluster.system.delete('configmap', AUTHORITIES);
  });
  const temp = makeTemp();

  before(async () => {
    cluster = await sharedCluster();
    examples = await Examples.make(cluster, temp, ['volumes', 'photos']);
    await upgradeRelease();
  });

  /** No public authority vouches for the servers of tests, and a Secret of the other driver cannot name one: the administrator does. */
  async function upgradeRelease(): Promise<void> {
    const data = { 'ca.crt': examples.backend.authority };
    await cluster.system.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: AUTHORITIES }, data });
    await upgrade(cluster, ['--set', `trustedAuthorities.configMap=${AUTHORITIES}`]);
  }

  async function apply(name: string, from?: number, to?: number): Promise<string> {
    if (!made.includes(name)) made.push(name);
    return examples.run(name, from, to);
  }

  const objectsWith = (bucket: string, text: string): string[] =>
    readdirSync(examples.bucketFolder(bucket), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((file) => readFileSync(file).includes(text));

  test('encrypt-by-copy: what was in clear is ciphertext, file for file', async () => {
    const said = await apply('encrypt-by-copy');
    assert.match(said, /copied and compared 2 files/);
    const inClear = objectsWith('volumes', 'a letter in clear text');
    assert.equal(inClear.length, 1, 'the old volume only');
    await examples.kubectl('moving').delete('job', 'copy');
    await examples.kubectl('moving').delete('job', 'fill');
    const { spec } = await examples.kubectl('moving').get<V1PersistentVolumeClaim>('pvc', 'old');
    await examples.kubectl('moving').delete('pvc', 'old');
    await cluster.kubectl.until('pv', spec?.volumeName ?? '', 'to go', (found) => found === undefined);
    assert.deepEqual(objectsWith('volumes', 'a letter in clear text'), []);
  });

  test('juicefs-volume: the Secret unchanged, the volume as the original client left it', async () => {
    await makeOriginal();
    await apply('juicefs-volume');
    const kubectl = examples.kubectl('photos');
    assert.equal(await kubectl.sh('viewer', 'cat /photos/album/one'), 'taken by the original client\n');
    await kubectl.sh('viewer', 'echo "added by a pod" >/photos/album/two');
    assert.deepEqual(objectsWith('photos', 'added by a pod'), []);
    assert.equal(await original(mounted('cat album/two')), 'added by a pod\n');
    // The operator finds it by the same Secret, once it may read it.
    const binding = ['--clusterrole=pageseal-operator-secrets', '--serviceaccount=pageseal-system:pageseal-operator'];
    await kubectl.ok(['create', 'rolebinding', 'pageseal-operator-secrets', ...binding]);
    const declared = { apiVersion: 'pageseal.dev/v1alpha1', kind: 'FileSystem', metadata: { name: 'photos' } };
    await kubectl.apply({ ...declared, spec: { secretName: 'juicefs-secret' } });
    await kubectl.condition('filesystem', 'photos', 'Ready');
    await kubectl.delete('filesystem', 'photos');
    const events = await kubectl.events('Pod', 'viewer');
    assert.equal(events.filter((event) => /IgnoredSettings: .*mount options cache-size/.test(event)).length, 1);
  });

  /** A script beside a mount of the original client, where the servers have their names. */
  async function original(script: string): Promise<string> {
    const hosts = temp.at('hosts');
    writeFileSync(hosts, hostAliases.map(({ ip, hostnames }) => `${ip} ${hostnames.join(' ')}\n`).join(''));
    const url = examples.backend.metaUrl('juicefs');
    const metaUrl = `${url}&sslmode=verify-full&sslrootcert=${cluster.servers.authority}`;
    const text = `mount --bind ${hosts} /etc/hosts
      ${script}`;
    const env = {
      ...temp.env,
      META: metaUrl,
      JFS_RSA_PASSPHRASE: PASSPHRASE,
      SSL_CERT_FILE: cluster.servers.authority,
    };
    const keys = {
      ACCESS_KEY: cluster.servers.accessKey,
      SECRET_KEY: cluster.servers.secretKey,
      JUICEFS: juicefsProgram,
    };
    const enter = [
      '--target',
      String(cluster.node.pid),
      '--net',
      '--',
      'unshare',
      '--mount',
      '--propagation',
      'private',
    ];
    const options = { env: { ...env, ...keys, MOUNT: temp.folder('original') }, timeoutMs: 120_000 };
    const { code, stdout, stderr } = await run('nsenter', [...enter, 'sh', '-ec', text], options);
    if (code !== 0) throw new Error(`${script}: exit ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  const mounted = (script: string): string => `
    "$JUICEFS" mount -d "$META" "$MOUNT" --no-usage-report --no-bgjob --cache-dir "$TMPDIR/cache" --log "$TMPDIR/log" >&2
    (cd "$MOUNT" && ${script})
    "$JUICEFS" umount --flush "$MOUNT" >&2`;

  async function makeOriginal(): Promise<void> {
    const key = await makeKey(temp, 2048, 'traditional', PASSPHRASE);
    await original(`"$JUICEFS" format "$META" photos --storage s3 --bucket https://s3.example.com/photos \\
      --access-key "$ACCESS_KEY" --secret-key "$SECRET_KEY" --encrypt-rsa-key ${key.file} >&2`);
    await original(mounted('mkdir album && echo "taken by the original client" >album/one'));
  }

  test('declared-file-system: wiped and turned encrypted, and used by claims before and after', async () => {
    await apply('declared-file-system', 0, 1);
    await until(
      'the text to be in the store, in clear',
      () => objectsWith('volumes', 'plans that nobody else should read').length > 0,
    );
    await apply('declared-file-system', 1);
    assert.equal(
      await examples.kubectl('projects').sh('writer', 'cat /plans/first'),
      'plans that nobody else should read\n',
    );
    assert.deepEqual(objectsWith('volumes', 'plans that nobody else should read'), []);
  });

  test('static-volume: a pod waits for the file system that it is to have', async () => {
    await apply('static-volume');
    assert.equal(await examples.kubectl('archive').sh('reader', 'cat /archive/report'), 'kept for later\n');
    assert.deepEqual(objectsWith('volumes', 'kept for later'), []);
  });
});
