// Random work of both clients on one volume with nested quotas, users and groups, at the same time: afterwards each
// client's checks find every account right.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { run } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { sizes } from '../sizes.ts';

/**
 * Both make, write, cut, rename and remove files everywhere, chown and link them. Directories are made, moved and removed
 * by us, each of the two below its own: the original client adds what it changed only seconds later, to quotas that it
 * found above then, and knows nothing of what others have pending. It makes no links: it counts them otherwise than it
 * checks them; and of files with several it changes no length: it asks for their directories only afterwards, when we may
 * have moved one of the names. Which may have several is known by their letter, which stays: another name may come at any
 * moment. It moves none from one directory to another: it reads the length that it takes along without a lock. And it
 * renames to names only that nobody else gives, and that are not there: where it has to begin a rename again, and what was
 * to be replaced is gone by then, it counts that out all the same (two of the original client, and nobody else, show it).
 */
const WORK = `
import errno, os, random, sys
top, who, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random.seed(seed); os.chdir(top)
shared = ['a', 'a/b', 'a/b/c', 'd', 'd/e']; own = [f'{who}']
refused = 0
single, linked = 'pqrs', 'tuvw'
def letter(p): return os.path.basename(p)[0]
def fixed(p): return who == 'juicefs' and letter(p) in linked
def entries(): return [f'{d}/{n}' for d in shared for n in sorted(os.listdir(d)) if not os.path.isdir(f'{d}/{n}')]
for step in range(steps):
    name = f'{random.choice(shared + own)}/{random.choice(single + linked)}{random.randint(0, 9)}'
    act = random.random()
    try:
        old = random.choice(entries() or [name])
        if act < 0.3:
            if fixed(name): continue
            with open(name, 'wb') as f: f.write(b'x' * random.choice([0, 1, 5000, 4096, 70000]))
            os.chown(name, random.randint(0, 3), random.randint(0, 3))
        elif act < 0.45:
            if not fixed(old): os.truncate(old, random.randint(0, 60000))
        elif act < 0.6:
            if who == 'juicefs': name = f'{os.path.dirname(old)}/{letter(old)}{step % 10}j'
            if who == 'juicefs' and os.path.lexists(name): continue
            if (letter(old) in linked) == (letter(name) in linked): os.rename(old, name)
        elif act < 0.7: os.unlink(old)
        elif act < 0.8: os.chown(old, random.randint(0, 3), random.randint(0, 3))
        elif who == 'juicefs': continue
        elif act < 0.85:
            if letter(old) in linked and letter(name) in linked: os.link(old, name)
        elif act < 0.9:
            os.makedirs(f'{who}/tree/x{step % 5}', exist_ok=True)
            with open(f'{who}/tree/x{step % 5}/f', 'wb') as f: f.write(b'y' * random.randint(0, 20000))
        elif act < 0.95:
            here, there = random.sample([f'{who}/tree', 'a/b/tree', 'd/e/tree', 'a/tree'], 2)
            os.rename(here, there)
        else: os.rmdir(f'{who}/tree/x{random.randint(0, 4)}')
    except OSError as e:
        if e.errno == errno.EDQUOT: refused += 1
        elif e.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.ESTALE): raise
print(refused)
`;

const python = async (code: string, ...args: readonly string[]): Promise<string> => {
  const { code: exit, stdout, stderr } = await run('python3', ['-c', code, ...args], { timeoutMs: 600_000 });
  assert.equal(exit, 0, stderr);
  return stdout.trim();
};

test('random work of both, and every account is right', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
  await juicefs.formatAt(place, 'mixed', ['--trash-days', '0', '--block-size', '64K']);
  const places = { first: temp.folder('first'), second: temp.folder('second'), juicefs: temp.folder('juicefs') };
  await pageseal.mount(metaUrl, places.first);
  const plant =
    "import os, sys; os.chdir(sys.argv[1]); [os.makedirs(d) for d in ('a/b/c', 'd/e', 'first', 'second', 'juicefs')]";
  await python(plant, places.first);
  await pageseal.umount(places.first);
  const quotas = [
    '--path / --inodes 4000',
    '--path /a --capacity 3M',
    '--path /a/b --inodes 40',
    '--path /d/e --capacity 1M',
    '--uid 1 --inodes 60',
    '--gid 2 --capacity 2M',
  ];
  for (const quota of quotas) await pageseal.ok(['quota', 'set', metaUrl, ...quota.split(' ')]);

  await pageseal.mount(metaUrl, places.first);
  await pageseal.mount(metaUrl, places.second);
  await juicefs.mount(metaUrl, places.juicefs);
  const seed = Math.floor(Math.random() * 2 ** 31);
  const refused = await Promise.all(
    Object.entries(places).map(([who, place], i) => python(WORK, place, who, String(seed + i), String(sizes.quotaMix))),
  );
  await juicefs.umount(places.juicefs);
  await pageseal.umount(places.first);
  await pageseal.umount(places.second);

  const about = `seed ${seed}, refused ${refused.join(', ')}`;
  assert.deepEqual(await placeViolations(place, { original: true, quotas: true }), [], about);
  for (const quota of quotas)
    await juicefs.ok(['quota', 'check', metaUrl, ...quota.split(' ').slice(0, 2), '--strict']);
  assert.equal((await pageseal.run(['quota', 'check', metaUrl])).code, 0, about);
  assert.deepEqual(await juicefs.fsckTree(metaUrl), [], about);
  assert.deepEqual(await juicefs.fsck(metaUrl), [], about);
});
