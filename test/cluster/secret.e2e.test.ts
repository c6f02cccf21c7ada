// Wrong keys in a Secret, on a real kubelet: the pod waits with an Event that says what is wrong and what to do, and once the
// Secret is correct it starts with no other act.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, type TestContext, test } from 'node:test';
import { makeKey } from '../harness/keys.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import { phaseOf } from './harness/kubectl.ts';
import { claim, DATA, pod } from './harness/objects.ts';
import { boundVolume, type Storage, storage } from './harness/storage.ts';

const needed = needs(...clusterNeeds);
const WRONG = 'canary-wrong-passphrase';
const temp = makeTemp();
let cluster: Cluster;

before(async () => {
  if (needed.skip === undefined) cluster = await sharedCluster();
});

interface Prepared extends Storage, TestNamespace {
  /** Some keys of the Secret; undefined takes one away. */
  change(keys: Readonly<Record<string, string | undefined>>): Promise<void>;
  /** An Event of the pod. */
  said(text: RegExp): Promise<string>;
}

/** A volume with a key, and a pod that writes into it; `wrong` is in the Secret before the pod comes. */
async function prepared(t: TestContext, wrong: Readonly<Record<string, string | undefined>>): Promise<Prepared> {
  const namespace = await cluster.namespace(t);
  const made = await storage(cluster, namespace, t);
  const { kubectl } = namespace;
  const change: Prepared['change'] = async (keys) => {
    const encoded = Object.entries(keys).map(([name, text]) => [name, text === undefined ? null : base64(text)]);
    const patch = JSON.stringify({ data: Object.fromEntries(encoded) });
    await kubectl.ok(['patch', 'secret', 'volume', '--type', 'merge', '--patch', patch]);
  };
  const said: Prepared['said'] = async (text) => {
    let found: string | undefined;
    await until(`an Event that says ${text}`, async () => {
      found = (await kubectl.events('Pod', 'writer')).find((event) => text.test(event));
      return found !== undefined;
    });
    return found ?? '';
  };
  await kubectl.apply(claim('data', made.className));
  await boundVolume(namespace, 'data');
  await change(wrong);
  await kubectl.apply(
    pod('writer', { claims: { [DATA]: 'data' }, script: `echo written >${DATA}/file && cat ${DATA}/file` }),
  );
  return { ...namespace, ...made, change, said };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

test('a wrong passphrase: the pod waits and says so; corrected, it starts by itself', needed, async (t) => {
  const { kubectl, secret, change, said } = await prepared(t, { passphrase: WRONG });
  const event = await said(/the passphrase does not open the key/);
  assert.match(event, /FailedMount: .*correct passphrase .*in the Secret .*the pod starts with no other act/);
  assert.doesNotMatch(event, /canary/);
  assert.equal(phaseOf(await kubectl.get('pod', 'writer')), 'Pending');
  await change({ passphrase: secret['passphrase'] });
  assert.equal(await kubectl.podDone('writer'), 'written\n');
});

test('no passphrase, then another key, then the right one', needed, async (t) => {
  const { kubectl, secret, change, said } = await prepared(t, { passphrase: undefined });
  await said(/sealed, and the Secret holds no passphrase .*add passphrase/);
  const other = await makeKey(temp, 2048, 'pkcs8', WRONG);
  await change({ 'rsa-key': readFileSync(other.file, 'utf8'), passphrase: WRONG });
  assert.match(await said(/wanted key/), /found .*put the connection and the key of this volume/);
  await change({ 'rsa-key': 'not a PEM at all', passphrase: secret['passphrase'] });
  await said(/no PEM block found .*correct rsa-key/);
  await change({ 'rsa-key': secret['rsa-key'] });
  assert.equal(await kubectl.podDone('writer'), 'written\n');
});
