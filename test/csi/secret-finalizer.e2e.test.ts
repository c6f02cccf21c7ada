// The finalizer on Secrets that volumes are deleted with, on a real API server: it is there before a volume is, goes with the
// last one, and is found again by a controller that comes after one that was killed.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setLogLevel } from '../../src/base/log.ts';
import { configMaps, events, secrets, storageClasses } from '../../src/kube/resources.ts';
import { NAMESPACE } from '../chart/chart.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { run, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { FINALIZER, Finalized, RECORD, TEAM } from './finalized.ts';

const needed = needs('helm', 'kube-apiserver', 'openssl');
const temp = makeTemp();
/** Of somebody else. */
const FOREIGN = 'example.com/backup';
let all: Finalized;

before(async () => {
  if (needed.skip !== undefined) return;
  setLogLevel('error');
  all = await Finalized.make(temp);
  await all.start();
});
after(async () => all?.stop());

const gone = (name: string): Promise<void> =>
  until(`the finalizer of ${name} to go`, async () => !(await all.finalizers(name))?.includes(FINALIZER));
const refusedBy = (words: RegExp) => (thrown: Error) => {
  assert.match(thrown.message, words);
  assert.doesNotMatch(thrown.message, /BEGIN/);
  return true;
};

test('it is there before the volume, beside what others put there, and goes with the last volume', needed, async () => {
  const made = await all.secret('first', { finalizers: [FOREIGN], labels: { team: 'a' } });
  const [one, other] = [await all.claim('one', 'first'), await all.claim('other', 'first')];
  const letOn = all.account.hold();
  const before = readdirSync(all.embedded);
  const creating = all.create(one, 'one');
  await until('the patch', () => all.account.sent.includes(`patch /api/v1/namespaces/${TEAM}/secrets/first`));
  assert.deepEqual(readdirSync(all.embedded), before, 'nothing is made before it is there');
  assert.deepEqual(await all.recorded(), [`${TEAM}/first`], 'but it is noted');
  letOn();
  const handle = await creating;
  const held = await all.kube.get(secrets, { namespace: TEAM, name: 'first' });
  assert.deepEqual(held.metadata.finalizers, [FOREIGN, FINALIZER]);
  assert.deepEqual([held.data, held.metadata.labels], [made.data, made.metadata.labels]);
  await all.volume(one, handle, 'first');
  await all.volume(other, await all.create(other, 'other'), 'first');
  await all.deleteVolume(one);
  assert.deepEqual(await all.finalizers('first'), [FOREIGN, FINALIZER]);
  await all.deleteVolume(other);
  await gone('first');
  assert.deepEqual(await all.finalizers('first'), [FOREIGN]);
  await until('the note to go', async () => (await all.recorded()).length === 0);
});

test('somebody else writes the Secret meanwhile: both have their finalizer', needed, async () => {
  await all.secret('raced');
  const volume = await all.claim('raced', 'raced');
  const letOn = all.account.hold();
  const path = `patch /api/v1/namespaces/${TEAM}/secrets/raced`;
  const creating = all.create(volume, 'raced');
  await until('the patch', () => all.account.sent.includes(path));
  await all.kube.patch(secrets, { namespace: TEAM, name: 'raced' }, { metadata: { finalizers: [FOREIGN] } });
  letOn();
  await creating;
  assert.deepEqual(await all.finalizers('raced'), [FOREIGN, FINALIZER]);
  assert.equal(all.account.sent.filter((each) => each === path).length, 2, 'the first met a conflict');
});

test('a volume is made while the last other one goes: the finalizer is there when it is answered', needed, async () => {
  await all.secret('busy');
  const [old, fresh] = [await all.claim('old', 'busy'), await all.claim('fresh', 'busy')];
  await all.volume(old, await all.create(old, 'old'), 'busy');
  const path = `patch /api/v1/namespaces/${TEAM}/secrets/busy`;
  const before = all.account.sent.length;
  const letOn = all.account.hold();
  await all.deleteVolume(old);
  const since = (): string[] => all.account.sent.slice(before);
  await until('it to be taken off', () => since().includes(path));
  const creating = all.create(fresh, 'fresh');
  await until('the other call to begin', () => since().some((each) => each.endsWith('/persistentvolumeclaims/fresh')));
  letOn();
  const handle = await creating;
  assert.deepEqual(await all.finalizers('busy'), [FINALIZER]);
  await all.volume(fresh, handle, 'busy');
  assert.ok((await all.recorded()).includes(`${TEAM}/busy`));
});

test('no volume is made with a Secret that goes, is gone, or is another one', needed, async () => {
  await all.secret('going', { finalizers: [FOREIGN] });
  await all.kube.remove(secrets, { namespace: TEAM, name: 'going' });
  const before = readdirSync(all.embedded);
  const volume = await all.claim('going', 'going');
  await assert.rejects(
    all.create(volume, 'going'),
    refusedBy(/^9 FAILED_PRECONDITION: secret team\/going: is being deleted, .*goes with the last volume/),
  );
  assert.deepEqual(await all.finalizers('going'), [FOREIGN]);
  const missing = await all.claim('missing', 'nowhere');
  await assert.rejects(
    all.create(missing, 'missing'),
    refusedBy(/^9 FAILED_PRECONDITION: secret team\/nowhere: is gone/),
  );
  await all.kube.create(secrets, { metadata: { namespace: TEAM, name: 'foreign' }, data: { password: 'eA==' } });
  const other = await all.claim('foreign', 'foreign');
  await assert.rejects(all.create(other, 'foreign'), refusedBy(/secret team\/foreign: has no rsa-public-key/));
  assert.deepEqual(await all.finalizers('foreign'), []);
  assert.deepEqual(readdirSync(all.embedded), before);
});

test(
  'where nobody says which Secret it is, the volume is made, and the Secret has it with the volume',
  needed,
  async () => {
    await all.secret('late');
    const anonymous = await all.claim('anonymous', 'late');
    const handle = await all.create(anonymous, undefined);
    assert.deepEqual(await all.finalizers('late'), []);
    await all.volume(anonymous, handle, 'late');
    await until('the finalizer', async () => (await all.finalizers('late'))?.includes(FINALIZER) === true);

    await all.kube.create(storageClasses, { metadata: { name: 'bare' }, provisioner: 'csi.pageseal.dev' });
    const bare = await all.claim('bare', 'late', 'bare');
    await all.create(bare, 'bare');
    await until('the Event', async () =>
      (await all.kube.list(events, { namespace: TEAM })).items.some(
        ({ reason, message, involvedObject }) =>
          reason === 'SecretNotProtected' && /names no provisioner/.test(message) && involvedObject.name === 'bare',
      ),
    );
  },
);

test('only the replica beside the provisioner that acts takes it off', needed, async () => {
  await all.secret('shared');
  const volume = await all.claim('shared', 'shared');
  await all.volume(volume, await all.create(volume, 'shared'), 'shared');
  await all.lease('another-pod');
  const before = all.account.sent.length;
  await all.deleteVolume(volume);
  // The second time is the look at everything, some seconds after it saw the volume go.
  const asked = (): number => all.account.sent.slice(before).filter((each) => each.includes('/leases/')).length;
  await until('it to ask who acts', () => asked() > 1);
  assert.deepEqual(await all.finalizers('shared'), [FINALIZER]);
  await all.lease();
  await gone('shared');
});

test('a controller that comes after one that was killed goes on from what is there', needed, async () => {
  await all.stop();
  // Killed in the middle of a call that never made a volume; and a volume made before finalizers were asked for.
  await all.secret('left', { finalizers: [FINALIZER] });
  await all.kube.patch(
    configMaps,
    { namespace: NAMESPACE, name: RECORD },
    { data: { secrets: [...(await all.recorded()), `${TEAM}/left`, `${TEAM}/never`].join('\n') } },
  );
  await all.secret('older');
  await all.volume('pvc-older', 'x', 'older');
  await all.start();
  await until('the older one', async () => (await all.finalizers('older'))?.includes(FINALIZER) === true);
  await gone('left');
  await until('its notes to go', async () => !/left|never/.test((await all.recorded()).join()));
  assert.ok((await all.recorded()).includes(`${TEAM}/older`));
});

test("the account may change nothing of a Secret but the driver's finalizer", needed, async () => {
  await all.secret('whole', { finalizers: [FOREIGN], labels: { team: 'a' }, annotations: { note: 'a' } });
  const at = { namespace: TEAM, name: 'whole' };
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' };
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ data: { passphrase: 'eA==' } }, /changes nothing in a Secret/],
    [{ data: { 'rsa-public-key': 'eA==' } }, /changes nothing in a Secret/],
    [{ data: null }, /changes nothing in a Secret/],
    [{ stringData: { passphrase: 'x' } }, /changes nothing in a Secret/],
    [{ immutable: true }, /neither type nor immutable/],
    [{ metadata: { labels: { team: 'b' } } }, /changes no labels/],
    [{ metadata: { labels: null } }, /changes no labels/],
    [{ metadata: { annotations: { note: 'b' } } }, /changes no annotations/],
    [{ metadata: { ownerReferences: [owner] } }, /changes no ownerReferences/],
    [{ metadata: { finalizers: [] } }, /finalizers .* its own only/],
    [{ metadata: { finalizers: [FOREIGN, 'example.com/another'] } }, /finalizers .* its own only/],
    [{ metadata: { finalizers: [FINALIZER] } }, /finalizers .* its own only/],
    [{ metadata: { finalizers: [FOREIGN, FINALIZER] }, data: { x: 'eA==' } }, /changes nothing in a Secret/],
  ];
  const before = await all.kube.get(secrets, at);
  for (const [body, message] of cases) await assert.rejects(all.account.patch(secrets, at, body), refusedBy(message));
  assert.deepEqual(await all.kube.get(secrets, at), before);
  await all.account.patch(secrets, at, { metadata: { finalizers: [FOREIGN, FINALIZER] } });
  await all.account.patch(secrets, at, { metadata: { finalizers: [FOREIGN] } });
  assert.deepEqual(await all.finalizers('whole'), [FOREIGN]);
  // Everybody else may what they might.
  await all.kube.patch(secrets, at, { metadata: { labels: { team: 'b' }, finalizers: null } });
  const acts = [
    () => all.account.create(secrets, { metadata: { namespace: TEAM, name: 'new' } }),
    () => all.account.list(secrets, { namespace: TEAM }),
    () => all.account.remove(secrets, at),
    () => all.account.replace(secrets, before),
  ];
  for (const act of acts)
    await assert.rejects(act(), refusedBy(/cannot (create|list|delete|update) resource "secrets"/));
});

test('the largest Secret is not too large for the policy', needed, async () => {
  const data = { 'rsa-public-key': 'eA==', ballast: Buffer.alloc(1_000_000, 'x').toString('base64') };
  const at = { namespace: TEAM, name: 'large' };
  await all.kube.create(secrets, { metadata: at, data });
  await all.account.patch(secrets, at, { metadata: { finalizers: [FINALIZER] } });
  assert.deepEqual(await all.finalizers('large'), [FINALIZER]);
});

test('before it is uninstalled all go, and a controller that still runs puts none back', needed, async () => {
  const flags = ['--namespace', NAMESPACE, '--record', RECORD, '--kubeconfig', all.accountFile];
  const still = await all.claim('still', 'late');
  const { code, stdout, stderr } = await run(pagesealProgram, ['csi-release', ...flags], { env: temp.env });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^released \d Secrets; what is in them stays\n$/);
  const { items } = await all.kube.list(secrets, {});
  const held = items.filter(({ metadata }) => metadata.finalizers?.includes(FINALIZER));
  // Nobody noted this one: the test put it there by itself.
  assert.deepEqual(
    held.map(({ metadata }) => metadata.name),
    ['large'],
  );
  assert.deepEqual(await all.recorded(), []);
  await all.volume('pvc-after', 'x', 'late');
  await assert.rejects(all.create(still, 'still'), refusedBy(/^14 UNAVAILABLE: the driver is being uninstalled/));
  assert.deepEqual(await all.finalizers('late'), []);

  // Without the record the volumes say which they are.
  await all.kube.remove(configMaps, { namespace: NAMESPACE, name: RECORD });
  await all.kube.patch(secrets, { namespace: TEAM, name: 'late' }, { metadata: { finalizers: [FINALIZER] } });
  const without = await run(pagesealProgram, ['csi-release', ...flags], { env: temp.env });
  assert.equal(without.stdout, 'released 1 Secrets; what is in them stays\n', without.stderr);
  await assert.rejects(
    all.create(still, 'still'),
    refusedBy(/config map .*: is missing .*helm upgrade makes it again/),
  );

  const again = await run(pagesealProgram, ['csi-release', '--all', '--kubeconfig', all.api.kubeconfig], {
    env: temp.env,
  });
  assert.equal(again.stdout, 'released 1 Secrets; what is in them stays\n', again.stderr);
  assert.deepEqual(await all.finalizers('large'), []);
});
