// The operator is killed in the middle of each of its acts; the next one finishes what the last one began. In the middle is
// where the store never answers, so that nothing of the act can have ended.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { until } from '../harness/program.ts';
import { isListing, type SeenRequest } from '../harness/s3-proxy.ts';
import { makeTemp } from '../harness/temp.ts';
import { condition, Declared, needed } from './declared.ts';

const temp = makeTemp();
let all: Declared;

before(async () => {
  if (needed.skip !== undefined) return;
  all = await Declared.make(temp);
});

type Matches = (seen: SeenRequest) => boolean;

const listing =
  (name: string): Matches =>
  (seen) =>
    isListing(seen) && seen.query.get('prefix') === `${name}/`;
const putting =
  (key: string): Matches =>
  ({ method, path }) =>
    method === 'PUT' && path.endsWith(`/${key}`);
const deleting: Matches = ({ method, query }) => method === 'POST' && query.has('delete');

/** Of requests that came since the last kill. */
let seen = 0;
const came = (matches: Matches): boolean => all.proxy.seen.slice(seen).some(matches);

/** These get no answer, until the operator that asked is dead and another one has begun. */
async function killWhen(
  what: string,
  hanging: readonly Matches[],
  until_: () => boolean | Promise<boolean>,
): Promise<void> {
  for (const matches of hanging) all.proxy.inject({ kind: 'hang' }, matches);
  await until(what, until_, 170_000);
  await all.kill();
  all.proxy.heal();
  seen = all.proxy.seen.length;
}

const reasonOf = async (name: string): Promise<string | undefined> => {
  const found = await all.find(name);
  return found && condition(found, 'Ready')?.reason;
};

test('killed while it formats, locks, wipes, counts, switches and removes, it finishes on return', needed, async () => {
  for (const name of ['empty', 'full', 'doomed'])
    await all.declare(name, { encryption: 'none', deletionPolicy: 'Delete' });
  all.start();
  const [empty, full] = await Promise.all(['empty', 'full', 'doomed'].map((name) => all.ready(name)));
  const [emptyUuid, fullUuid] = [empty?.status?.uuid, full?.status?.uuid];
  await all.use('full', (files) => files.write('file', 0, Buffer.alloc(5000, 1)));
  await all.use('doomed', (files) => files.write('file', 0, Buffer.alloc(5000, 1)));

  // Formatting and removing: the record is written and its object is not; the ledger is gone and the objects are not.
  await all.declare('new');
  await all.delete('doomed');
  await all.change('empty', { encryption: 'required' });
  await all.change('full', { encryption: 'required', wipe: { confirm: fullUuid } });
  await killWhen('all acts to have begun', [putting('new/juicefs_uuid'), deleting], async () => {
    const locked = (await reasonOf('empty')) === 'Locked' && (await reasonOf('full')) === 'Locked';
    return locked && came(putting('new/juicefs_uuid')) && came(deleting);
  });
  assert.equal(await all.sql('empty', 'SELECT COUNT(*) FROM pageseal_lock'), '1');
  assert.equal(all.objects('doomed').length, 2);
  assert.deepEqual(all.objects('new'), []);

  // They finish; after the minute that it waits for sessions, counting and wiping hang.
  all.start();
  const wipes = (request: SeenRequest): boolean => deleting(request);
  await all.ready('new');
  assert.deepEqual(all.objects('new'), ['juicefs_uuid']);
  await all.gone('doomed');
  assert.deepEqual(all.objects('doomed'), []);
  seen = all.proxy.seen.length;
  await killWhen('wiping and counting', [wipes, listing('empty')], async () => {
    const states = [await reasonOf('full'), await reasonOf('empty')];
    return states.join() === 'Wiping,Switching' && came(wipes) && came(listing('empty'));
  });
  assert.ok(all.objects('full').length >= 2);

  // Switching: a UUID is chosen, and what it is sealed into does not get there.
  all.start();
  const sealing = ['empty', 'full'].map((name) => putting(`${name}/juicefs_uuid`));
  await killWhen('both switches', sealing, () => sealing.every(came));
  assert.equal(
    await all.sql('full', `SELECT COUNT(*) FROM jfs_node WHERE inode > 1 AND inode < 9223372032828243968`),
    '0',
  );

  all.start();
  const done = await Promise.all([all.ready('empty'), all.ready('full')]);
  for (const { status } of done) {
    assert.equal(status?.encrypted, true);
    assert.ok(status?.uuid !== emptyUuid && status?.uuid !== fullUuid);
  }
  const wipe = done[1]?.status?.wipe;
  assert.equal(wipe?.confirmed, fullUuid);
  assert.ok(wipe?.finishedAt !== undefined);
  assert.deepEqual(all.objects('full'), ['juicefs_uuid']);
  assert.equal(await all.sql('full', 'SELECT COUNT(*) FROM pageseal_lock'), '0');
});
