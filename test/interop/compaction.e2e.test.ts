// Both clients compact one volume: after each other and at the same time, while files are written and read again. And
// what one of them keeps to be deleted later, the other deletes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Row, rows } from '../harness/place.ts';
import { run, runOk } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';
import { placeViolations } from '../model/invariants.ts';
import { sizes } from '../sizes.ts';

const passphrase = 'compact';
const DAY = 86_400;

async function volume(temp: Temp, trashDays: string) {
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const pageseal = new Pageseal(temp, passphrase);
  const juicefs = new Juicefs(temp, passphrase);
  const flags = ['--encrypt-rsa-key', key.file, '--compress', 'zstd', '--block-size', '64K', '--trash-days', trashDays];
  await pageseal.formatAt(place, 'pieces', flags);
  return { metaUrl, place, pageseal, juicefs, ours: temp.folder('ours'), theirs: temp.folder('theirs') };
}

type Volume = Awaited<ReturnType<typeof volume>>;

const number = async ({ place }: Volume, text: string): Promise<number> =>
  Number(Object.values((await rows(place, `SELECT ${text}`))[0] ?? {})[0]);
const longest = (it: Volume): Promise<number> => number(it, 'MAX(length(CAST(slices AS BLOB)) / 24) FROM jfs_chunk');
const scribble = (folder: string, seed: number, rounds: number, others = '') =>
  run('python3', ['-c', script, folder, String(seed), String(rounds), others], { timeoutMs: 1_200_000 });

async function scribbleOk(...args: Parameters<typeof scribble>): Promise<void> {
  const { code, stdout, stderr } = await scribble(...args);
  assert.equal(code, 0, stdout + stderr);
}

test(
  'each compacts what the other wrote, and deletes later what the other replaced',
  needs(...interopNeeds),
  async (t) => {
    const temp = makeTemp(t);
    const it = await volume(temp, '1');
    const { metaUrl, place, pageseal, juicefs, ours, theirs } = it;
    await pageseal.mount(metaUrl, ours, ['--no-bgjob']);
    await scribbleOk(`${ours}/a`, 1, 40);
    await scribbleOk(`${ours}/b`, 2, 40);
    assert.ok((await longest(it)) > 20);
    const report: unknown = JSON.parse(await pageseal.ok(['compact', '--json', `${ours}/a`]));
    const { compacted, failed } = report as { compacted: number; failed: number };
    assert.ok(compacted >= 2 && failed === 0, JSON.stringify(report));
    const byUs = await number(it, 'COUNT(*) FROM jfs_delslices');
    assert.ok(byUs >= 2);
    const written = await readTree(ours);
    await pageseal.umount(ours);
    assert.deepEqual(await placeViolations(it.place), []);

    await juicefs.ok(['gc', '--compact', metaUrl]);
    assert.ok((await number(it, 'COUNT(*) FROM jfs_delslices')) > byUs);
    assert.ok((await longest(it)) < 5);
    assert.deepEqual(await placeViolations(it.place), []);
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    for (const [client, mountPoint] of [
      [pageseal, ours],
      [juicefs, theirs],
    ] as const) {
      await client.mount(metaUrl, mountPoint);
      assert.deepEqual(treeDifferences(written, await readTree(mountPoint)), []);
      await client.umount(mountPoint);
    }

    // Half of the rows are old: theirs and ours. The original client takes those that we made last.
    const objects = (): Promise<number> => number(it, 'COUNT(*) FROM jfs_chunk_ref');
    const before = await objects();
    const [old] = await rows(place, 'SELECT MAX(chunkid) AS id FROM jfs_delslices');
    await place.change(`UPDATE jfs_delslices SET deleted = deleted - ${2 * DAY} WHERE chunkid < ${old?.['id']}`);
    await juicefs.ok(['gc', '--delete', metaUrl]);
    assert.equal(await number(it, 'COUNT(*) FROM jfs_delslices'), 1);
    assert.ok((await objects()) < before);
    await place.change(`UPDATE jfs_delslices SET deleted = deleted - ${2 * DAY}`);
    await pageseal.ok(['gc', '--delete', metaUrl]);
    assert.equal(await number(it, 'COUNT(*) FROM jfs_delslices'), 0);
    assert.equal(
      await number(it, 'COUNT(*) FROM pageseal_page WHERE slice_id NOT IN (SELECT chunkid FROM jfs_chunk_ref)'),
      0,
    );
    assert.match(await juicefs.gc(metaUrl), / 0 compacted .* 0 leaked/);
    assert.deepEqual(await placeViolations(it.place), []);
    assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
  },
);

for (const trashDays of ['1', '0'])
  test(
    `both compact at the same time, while both write and read, trash ${trashDays}`,
    needs(...interopNeeds),
    async (t) => {
      const temp = makeTemp(t);
      const it = await volume(temp, trashDays);
      const { metaUrl, pageseal, juicefs, ours, theirs } = it;
      await pageseal.mount(metaUrl, ours);
      await juicefs.mount(metaUrl, theirs);
      t.diagnostic(`${await storm(it)} compactions of everything`);
      const written = await readTree(ours);
      assert.deepEqual(treeDifferences(written, await readTree(theirs)), []);
      await juicefs.umount(theirs);
      await pageseal.umount(ours);
      await pageseal.ok(['gc', '--delete', metaUrl]);
      assert.deepEqual(await placeViolations(it.place), []);
      assert.deepEqual(await juicefs.fsck(metaUrl), []);
      assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
      // Where it meets a page that went meanwhile, the original client leaves what it had written for gc.
      if (trashDays === '0') await juicefs.ok(['gc', '--delete', metaUrl]);
      assert.match(await juicefs.gc(metaUrl), / 0 pending delete .* 0 leaked/);
      assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
    },
  );

/** Answers how often everything was compacted. */
async function storm({ metaUrl, pageseal, juicefs, ours, theirs }: Volume): Promise<number> {
  let done = false;
  const writers = Promise.all([
    scribble(`${ours}/a`, 1, sizes.compactionRounds, `${ours}/b`),
    scribble(`${theirs}/b`, 2, sizes.compactionRounds, `${theirs}/a`),
  ]).finally(() => {
    done = true;
  });
  let compactions = 0;
  const compactors = [() => juicefs.ok(['gc', '--compact', metaUrl]), () => pageseal.ok(['compact', metaUrl, '/'])].map(
    async (compact) => {
      for (; !done; compactions++) await compact();
    },
  );
  const [ends] = await Promise.all([writers, ...compactors]);
  for (const { code, stdout, stderr } of ends) assert.equal(code, 0, stdout + stderr + logOf(ours));
  return compactions;
}

test('data of deleted files: each client deletes what the other left', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const it = await volume(temp, '0');
  const { metaUrl, place, pageseal, juicefs, ours } = it;
  await pageseal.mount(metaUrl, ours);
  await scribbleOk(`${ours}/a`, 1, 10);
  await pageseal.umount(ours);
  const files = await rows(
    place,
    'SELECT n.inode, n.length, e.id FROM jfs_node n JOIN jfs_edge e ON e.inode = n.inode WHERE n.type = 1',
  );
  // As a client leaves a file that died before it came to its data.
  const leave = async (file: Row | undefined): Promise<void> => {
    const { inode, length, id } = file ?? {};
    await place.change(`INSERT INTO jfs_delfile VALUES (${inode}, ${length}, ${Math.floor(Date.now() / 1000) - 7200})`);
    await place.change(`DELETE FROM jfs_edge WHERE id = ${id}`);
    await place.change(`DELETE FROM jfs_node WHERE inode = ${inode}`);
  };
  await leave(files[0]);
  await juicefs.ok(['gc', '--delete', metaUrl]);
  await leave(files[1]);
  await pageseal.ok(['gc', '--delete', metaUrl]);
  for (const table of ['jfs_delfile', 'jfs_chunk', 'jfs_chunk_ref', 'pageseal_page'])
    assert.equal(await number(it, `COUNT(*) FROM ${table}`), 0, table);
  assert.match(await juicefs.gc(metaUrl), /scanned 0 objects/);
  await runOk('sh', ['-c', `test -z "$(find ${place.objects}pieces/chunks -type f)"`]);
});

function logOf(mountPoint: string): string {
  return readFileSync(`${mountPoint}.log`, 'utf8').slice(-3000);
}

/** Two files, small pieces at random places, each synced; read again now and then, also over the other client's files. */
const script = `
import os, random, sys
top, seed, rounds, others = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
r = random.Random(seed)
os.makedirs(top, exist_ok=True)
files = []
for name in "xy":
    fd = os.open(os.path.join(top, name), os.O_RDWR | os.O_CREAT, 0o644)
    model = bytearray(r.randbytes(300000))
    os.pwrite(fd, model, 0); os.fsync(fd)
    files.append((fd, model, os.path.join(top, name)))
for i in range(rounds):
    for fd, model, path in files:
        at, data = r.randrange(len(model) - 9000), r.randbytes(r.randrange(1, 9000))
        if r.random() < 0.1:
            os.ftruncate(fd, at); os.ftruncate(fd, len(model)); model[at:] = bytes(len(model) - at)
        os.pwrite(fd, data, at); model[at:at + len(data)] = data
        os.fsync(fd)
        if i % 5 == 0:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if os.pread(fd, len(model), 0) != model: sys.exit("%s differs in round %d" % (path, i))
    if others and i % 7 == 0:
        for name in "xy":
            try:
                with open(os.path.join(others, name), "rb") as f: f.read()
            except FileNotFoundError: pass
for fd, model, path in files:
    os.close(fd)
    with open(path, "rb") as f:
        if f.read() != model: sys.exit("%s differs at the end" % path)
`;
