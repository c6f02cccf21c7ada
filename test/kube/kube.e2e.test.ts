// The Kubernetes client's parts on a real API server: service account, informer through restarts, one leader, Events.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { setLogLevel } from '../../src/base/log.ts';
import { isConflict } from '../../src/kube/api-error.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { withCondition } from '../../src/kube/conditions.ts';
import { connectKube } from '../../src/kube/connect.ts';
import { type FileSystemObject, fileSystems } from '../../src/kube/crd/file-system.ts';
import { Informer } from '../../src/kube/informer.ts';
import { Leader } from '../../src/kube/leader.ts';
import type { CoreEvent } from '../../src/kube/objects.ts';
import { Recorder } from '../../src/kube/recorder.ts';
import { events, leases, secrets } from '../../src/kube/resources.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { ApiServer } from './api-server.ts';

const needed = needs('kube-apiserver', 'openssl');
const temp = makeTemp();
const namespace = 'default';
let server: ApiServer;
let client: KubeClient;

before(async () => {
  if (needed.skip !== undefined) return;
  setLogLevel('error');
  server = await ApiServer.start(temp);
  client = await server.client();
});

const declared = (name: string): FileSystemObject => ({ metadata: { name, namespace }, spec: { secretName: 's' } });

test('as a service account: token and authority from its folder, refusals in our codes', needed, async () => {
  const token = await server.kubectl('create', 'token', 'default').catch(async () => {
    await server.kubectl('create', 'serviceaccount', 'default');
    return server.kubectl('create', 'token', 'default');
  });
  const folder = temp.folder('account');
  for (const [name, text] of [
    ['token', token],
    ['ca.crt', server.ca],
    ['namespace', namespace],
  ] as const)
    writeFileSync(`${folder}/${name}`, text);
  process.env['KUBERNETES_SERVICE_HOST'] = '127.0.0.1';
  process.env['KUBERNETES_SERVICE_PORT'] = String(server.port);
  const account = await connectKube({ serviceAccountDirectory: folder });
  delete process.env['KUBERNETES_SERVICE_HOST'];
  assert.equal(account.namespace, namespace);
  await assert.rejects(account.find(secrets, { namespace, name: 'x' }), (thrown) => {
    assert.ok(hasCode(thrown, 'permission-denied'), String(thrown));
    assert.match(thrown.message, /system:serviceaccount:default:default" cannot get resource "secrets"/);
    return true;
  });
  writeFileSync(`${folder}/token`, 'not one');
  process.env['KUBERNETES_SERVICE_HOST'] = '127.0.0.1';
  const other = await connectKube({ serviceAccountDirectory: folder });
  delete process.env['KUBERNETES_SERVICE_HOST'];
  await assert.rejects(other.find(secrets, { namespace, name: 'x' }), (thrown) => hasCode(thrown, 'unauthenticated'));
  account.close();
  other.close();
});

test('objects are made, found, changed and removed; who writes over a newer one is refused', needed, async () => {
  const made = await client.create(secrets, { metadata: { name: 'one', namespace }, data: { a: 'MQ==' } });
  await client.patch(secrets, { name: 'one', namespace }, { data: { b: 'Mg==' } });
  await assert.rejects(client.replace(secrets, made), (thrown) => isConflict(thrown));
  assert.deepEqual((await client.get(secrets, { name: 'one', namespace })).data, { a: 'MQ==', b: 'Mg==' });
  await client.remove(secrets, { name: 'one', namespace });
  assert.equal(await client.find(secrets, { name: 'one', namespace }), undefined);
});

test(
  'an informer knows what is there through restarts of the server, and when its point is forgotten',
  needed,
  async () => {
    await client.create(fileSystems, declared('before'));
    const changes: string[] = [];
    const informer = new Informer({
      client,
      resource: fileSystems,
      onChange: (key, object, old) => {
        changes.push(`${object === undefined ? '-' : old === undefined ? '+' : '~'}${key}`);
      },
    });
    await informer.start();
    assert.deepEqual(changes, ['+default/before']);
    await client.create(fileSystems, declared('watched'));
    await until('the new object', () => informer.get('default/watched') !== undefined);
    await client.patch(fileSystems, { name: 'watched', namespace }, { spec: { trashDays: 3 } });
    await until('its change', () => informer.get('default/watched')?.spec.trashDays === 3);

    await server.stop();
    await server.start();
    await client.create(fileSystems, declared('restarted'));
    await until('what came after the restart', () => informer.get('default/restarted') !== undefined);

    // What happens while nobody watches, and the point to go on from is gone: listed again, and the difference told.
    await server.stop();
    await server.start();
    await client.remove(fileSystems, { name: 'watched', namespace });
    await client.create(fileSystems, declared('later'));
    await server.compact();
    await until('the removal', () => informer.get('default/watched') === undefined);
    await until('the one that came later', () => informer.get('default/later') !== undefined);
    await informer.stop();
    assert.deepEqual(
      [...new Set(changes)].sort(),
      [
        '+default/before',
        '+default/later',
        '+default/restarted',
        '+default/watched',
        '-default/watched',
        '~default/watched',
      ].sort(),
    );
    assert.equal(changes.length, 6, changes.join(' '));
  },
);

test('a watch whose point was compacted away lists again', needed, async () => {
  const informer = new Informer({ client, resource: fileSystems, onChange: () => undefined });
  await informer.start();
  await server.stop();
  // While the server is away the informer keeps the point it had; when it is back, that point is no longer known.
  await server.start();
  const others = await server.client();
  for (let i = 0; i < 5; i++) {
    await others.create(fileSystems, declared(`quick-${i}`));
    await others.remove(fileSystems, { name: `quick-${i}`, namespace });
  }
  await others.create(fileSystems, declared('kept'));
  await server.compact();
  await server.stop();
  await server.start();
  await until('what is there', () => informer.get('default/kept') !== undefined);
  assert.equal(informer.get('default/quick-1'), undefined);
  await informer.stop();
  others.close();
});

const times = { leaseMs: 2000, renewWithinMs: 1200, retryMs: 200 };
const leaderOf = async (identity: string): Promise<Leader> =>
  new Leader({ client: await server.client(), namespace, name: 'one-lease', identity, times });

test('of two processes one leads; the lease is handed over at the end', needed, async () => {
  const [a, b] = [await leaderOf('a'), await leaderOf('b')];
  const [stopA, stopB] = [new AbortController(), new AbortController()];
  const leading = new Set<string>();
  const lead = (name: string) => async (signal: AbortSignal) => {
    leading.add(name);
    assert.equal(leading.size, 1);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    leading.delete(name);
  };
  const runA = a.run(lead('a'), stopA.signal);
  await until('a to lead', () => leading.has('a'));
  const runB = b.run(lead('b'), stopB.signal);
  // Longer than the lease: it is renewed.
  await new Promise((resolve) => setTimeout(resolve, 2 * times.leaseMs));
  assert.deepEqual([...leading], ['a']);
  stopA.abort();
  assert.equal(await runA, 'ended');
  await until('b to lead', () => leading.has('b'));
  const lease = await client.get(leases, { namespace, name: 'one-lease' });
  assert.equal(lease.spec?.holderIdentity, 'b');
  assert.equal(lease.spec?.leaseTransitions, 1);
  stopB.abort();
  await runB;
});

test('a leader that cannot renew stops, and a lease that nobody renews is taken', needed, async () => {
  const name = { namespace, name: 'stale-lease' };
  const spec = { holderIdentity: 'dead', leaseDurationSeconds: 1, renewTime: '2020-01-01T00:00:00.000000Z' };
  await client.create(leases, { metadata: name, spec });
  const leader = new Leader({ client, ...name, identity: 'alive', times });
  const stop = new AbortController();
  let told = false;
  const running = leader.run(async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    told = true;
  }, stop.signal);
  await until('the lease', async () => (await client.get(leases, name)).spec?.holderIdentity === 'alive');
  await server.stop();
  assert.equal(await running, 'lost');
  assert.ok(told);
  await server.start();
});

async function eventsAbout(name: string): Promise<readonly CoreEvent[]> {
  const { items } = await client.list(events, { namespace, fieldSelector: `involvedObject.name=${name}` });
  return items;
}

test(
  'an Event that comes again is counted; long ones are cut; too many are dropped; failures harm nobody',
  needed,
  async () => {
    const recorder = new Recorder(async () => client, 'pageseal-test', 'node-1');
    const about = (name: string) => ({ apiVersion: 'v1', kind: 'Secret', name, namespace, uid: `uid-${name}` });
    for (let i = 0; i < 4; i++)
      recorder.record({ about: about('noisy'), type: 'Warning', reason: 'Again', message: 'the same' });
    recorder.record({ about: about('noisy'), type: 'Normal', reason: 'Other', message: 'ä'.repeat(2000) });
    await recorder.flush();
    const [again, other, ...more] = (await eventsAbout('noisy')).toSorted((a, b) => b.count - a.count);
    assert.equal(again?.count, 4);
    assert.equal(again?.source.component, 'pageseal-test');
    assert.ok(Buffer.byteLength(other?.message ?? '') <= 1024 && other?.message.endsWith('ä...'));
    assert.equal(more.length, 0);
    for (let i = 0; i < 60; i++)
      recorder.record({ about: about('flood'), type: 'Normal', reason: 'Flood', message: `number ${i}` });
    await recorder.flush();
    assert.equal((await eventsAbout('flood')).length, 25);
    const broken = new Recorder(() => Promise.reject(new Error('no server')), 'pageseal-test', 'node-1');
    broken.record({ about: about('broken'), type: 'Normal', reason: 'Lost', message: 'nobody reads it' });
    await broken.flush();
  },
);

test('a condition has its time from the last change of its status', () => {
  const [first, second] = [new Date('2026-01-01T00:00:00.4Z'), new Date('2026-01-01T00:01:00Z')];
  const one = withCondition([], { type: 'Ready', status: 'False', reason: 'A', message: 'a' }, first);
  assert.equal(one[0]?.lastTransitionTime, '2026-01-01T00:00:00Z');
  assert.equal(withCondition(one, { type: 'Ready', status: 'False', reason: 'A', message: 'a' }, second), one);
  const two = withCondition(one, { type: 'Ready', status: 'False', reason: 'B', message: 'b' }, second);
  assert.deepEqual(two[0], { ...one[0], reason: 'B', message: 'b' });
  const three = withCondition(two, { type: 'Ready', status: 'True', reason: 'C', message: '' }, second);
  assert.equal(three[0]?.lastTransitionTime, '2026-01-01T00:01:00Z');
});
