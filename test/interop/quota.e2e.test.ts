// Quotas between the two clients: what one sets the other keeps and finds right, and after random work of both on one
// volume the original client's checks find nothing to mend.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place } from '../harness/place.ts';
import { type Outcome, run } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';

/** Work on a mount in a program of its own; answers what was refused for want of quota. */
const python = async (code: string, ...args: readonly string[]): Promise<string> => {
  const { code: exit, stdout, stderr }: Outcome = await run('python3', ['-c', code, ...args], {});
  assert.equal(exit, 0, stderr);
  return stdout;
};

/** `uid` writes files of 10,000 bytes until it is told to stop, or has `most`. */
const FILL = `
import errno, os, sys
directory, uid, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.chdir(directory); os.setgid(uid); os.setuid(uid)
made = 0
while made < most:
    try:
        with open(f'{uid}-{made}', 'wb') as f: f.write(b'x' * 10000)
    except OSError as e:
        if e.errno != errno.EDQUOT: raise
        print('EDQUOT'); break
    made += 1
print(made)
`;

interface Shown {
  readonly of: string;
  readonly maxSpace: number;
  readonly usedSpace: number;
  readonly usedInodes: number;
}

interface Setup {
  readonly place: Place;
  readonly metaUrl: string;
  readonly mnt: string;
  readonly pageseal: Pageseal;
  readonly juicefs: Juicefs;
}

test('what we set the original client keeps and finds right, and the reverse', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const place = await newPlace(temp);
  const setup = { place, metaUrl: place.metaUrl, mnt: temp.folder('mnt') };
  const clients = { pageseal: new Pageseal(temp), juicefs: new Juicefs(temp) };
  await clients.juicefs.formatAt(place, 'limits', ['--trash-days', '0']);
  await weSet({ ...setup, ...clients });
  await theySet({ ...setup, ...clients });
  await repaired({ ...setup, ...clients });
  await takenAway({ ...setup, ...clients });
  assert.deepEqual(await placeViolations(place, { original: true, quotas: true }), []);
});

const filled = async (directory: string, uid: string, most: string): Promise<string[]> =>
  (await python(FILL, directory, uid, most)).trim().split('\n');

async function weSet({ metaUrl, mnt, pageseal, juicefs }: Setup): Promise<void> {
  await pageseal.mount(metaUrl, mnt);
  const plant =
    "import os, sys; os.chdir(sys.argv[1]); [os.makedirs(d) or os.chmod(d, 0o777) for d in ('a', 'a/b', 'c')]";
  await python(plant, mnt);
  assert.deepEqual(await filled(`${mnt}/a/b`, '1000', '5'), ['5']);
  // At once after the writes, while the mount has them pending; the first limit of a user waits for the mount.
  const limits = ['--capacity', '200K', '--inodes', '20'];
  const { usedSpace, usedInodes } = await shown(pageseal, ['set', metaUrl, '--path', '/a', ...limits]);
  assert.deepEqual([usedSpace, usedInodes], [4096 + 5 * 12288, 6]);
  const user = await shown(pageseal, ['set', metaUrl, '--uid', '1000', '--inodes', '9']);
  assert.deepEqual([user.of, user.usedSpace, user.usedInodes], ['uid:1000', 5 * 12288, 5]);
  assert.deepEqual(await filled(`${mnt}/c`, '1000', '9'), ['EDQUOT', '4']);
  await pageseal.umount(mnt);
  assert.match(await pageseal.ok(['quota', 'check', metaUrl]), /is what is there/);
  for (const which of ['--path /a', '--uid 1000', '--gid 1000'])
    await juicefs.ok(['quota', 'check', metaUrl, ...which.split(' ')]);
  const listed = await juicefs.ok(['quota', 'list', metaUrl]);
  assert.match(listed, /\/a +\| +200 KiB +\| +64 KiB.*\n.*uid:1000 \|.*\| +9 \| +9 \| +100%/);
}

async function theySet({ metaUrl, mnt, pageseal, juicefs }: Setup): Promise<void> {
  await juicefs.ok(['quota', 'set', metaUrl, '--path', '/c', '--capacity', '1', '--inodes', '6']);
  await juicefs.ok(['quota', 'set', metaUrl, '--gid', '1001', '--inodes', '2']);
  await pageseal.mount(metaUrl, mnt);
  assert.deepEqual(await filled(`${mnt}/c`, '1001', '9'), ['EDQUOT', '2'], 'the group or the directory');
  assert.deepEqual(await filled(`${mnt}/c`, '1002', '9'), ['EDQUOT', '0'], 'the directory');
  await pageseal.umount(mnt);
  assert.match(await pageseal.ok(['quota', 'check', metaUrl]), /is what is there/);
  await juicefs.ok(['quota', 'check', metaUrl, '--path', '/c']);
  await juicefs.ok(['quota', 'check', metaUrl]);
  const listed = JSON.parse(await pageseal.ok(['quota', 'list', metaUrl, '--json'])) as Shown[];
  const used = listed.map(({ of, usedInodes }) => `${of} ${usedInodes}`);
  assert.deepEqual(used, ['/a 6', '/c 6', 'uid:1000 9', 'gid:1001 2']);
}

async function takenAway({ metaUrl, pageseal, juicefs }: Setup): Promise<void> {
  await pageseal.ok(['quota', 'delete', metaUrl, '--path', '/c']);
  await pageseal.ok(['quota', 'delete', metaUrl, '--uid', '1000']);
  assert.doesNotMatch(await juicefs.ok(['quota', 'list', metaUrl]), /\/c|uid:1000/);
  assert.equal((await pageseal.run(['quota', 'get', metaUrl, '--path', '/c'])).code, 4);
  assert.equal((await pageseal.run(['quota', 'set', metaUrl, '--path', '/missing', '--capacity', '1'])).code, 4);
  const made = await shown(pageseal, ['set', metaUrl, '--path', '/made/below', '--create', '--capacity', '1']);
  assert.equal(made.usedInodes, 0);
}

/** Damaged rows are seen by both, repaired by one, right for the other. */
async function repaired({ place, metaUrl, pageseal, juicefs }: Setup): Promise<void> {
  await place.change('UPDATE jfs_dir_quota SET used_space = used_space + 4096');
  await place.change('UPDATE jfs_user_group_quota SET used_inodes = 77 WHERE qkey = 1000');
  const said = await pageseal.run(['quota', 'check', metaUrl]);
  assert.equal(said.code, 1);
  assert.equal(said.stdout.trim().split('\n').length, 4);
  assert.notEqual((await juicefs.run(['quota', 'check', metaUrl, '--path', '/a'])).code, 0);
  await pageseal.ok(['quota', 'check', metaUrl, '--repair']);
  await juicefs.ok(['quota', 'check', metaUrl, '--path', '/a']);
  await juicefs.ok(['quota', 'check', metaUrl]);
}

async function shown(pageseal: Pageseal, args: readonly string[]): Promise<Shown> {
  const [quota] = JSON.parse(await pageseal.ok(['quota', ...args, '--json'])) as Shown[];
  assert.ok(quota !== undefined);
  return quota;
}
