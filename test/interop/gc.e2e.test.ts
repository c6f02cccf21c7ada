// Garbage as both clients count it: the same volumes, the same figures, and what one cleaned up is clean to the other.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { GcReport } from '../../src/filesystem/gc/gc.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { isScaled, newPlace } from '../harness/place.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { type TestVolume, type VolumeName, volumeAt } from '../harness/volumes.ts';
import { placeViolations } from '../model/invariants.ts';
import { startRootSums } from './root-sums.ts';

const tools = needs('juicefs');

/** What a folder has of a write that was cut short; an S3 server has nothing of one. */
const LEFT_OVER = '.jfs.901_0_1.tmp.1234';
const LEFT_OVER_BYTES = 77;
const LEAKED_BYTES = 900 + 1900 + 2901 + 3;

/** Leaked objects, a left-over of a write, a slice without references, a deleted file, all with their bytes. */
async function litter({ place }: TestVolume, name: string, hashPrefix: boolean): Promise<void> {
  const folder = join(place.objects, name, 'chunks');
  const put = (id: number, file: string, bytes: number): void => {
    const HH = (id % 256).toString(16).toUpperCase().padStart(2, '0');
    const path = hashPrefix ? join(folder, HH, '0', file) : join(folder, '0', String(Math.floor(id / 1000)), file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.alloc(bytes));
  };
  for (const id of [900, 1900, 2901]) put(id, `${id}_0_${id}`, id);
  if (!isScaled) put(901, LEFT_OVER, LEFT_OVER_BYTES);
  put(1, '1_0_3', 3);
  for (const id of [910, 911, 912]) put(id, `${id}_0_10`, 10);
  const record = Buffer.alloc(24);
  record.writeBigUInt64BE(912n, 4);
  record.writeUInt32BE(10, 12);
  record.writeUInt32BE(10, 20);
  await place.change('INSERT INTO jfs_chunk_ref VALUES (910, 10, 0), (911, 10, -1), (912, 10, 1)');
  await place.change('INSERT INTO jfs_chunk (inode, indx, slices) VALUES (9000, 0, ?)', record);
  await place.change(`INSERT INTO jfs_delfile VALUES (9000, 10, ${Math.floor(Date.now() / 1000)})`);
  await place.change("UPDATE jfs_counter SET value = 10000 WHERE name IN ('nextChunk', 'nextInode')");
}

/** The figures of the original client's last line. */
function figures(line: string): Record<string, number> {
  const found = [
    ...line.matchAll(/(\d+) (objects|valid|pending delete|compacted|leaked|skipped)\b(?: \((\d+) bytes\))?/g),
  ];
  return Object.fromEntries(
    found.flatMap(([, count, what = '', bytes]) => [
      [what, Number(count)],
      ...(bytes === undefined ? [] : [[`${what} bytes`, Number(bytes)] as const]),
    ]),
  );
}

function ours({ objects }: GcReport): Record<string, number> {
  const { scanned, valid, pending, delayed, leaked, temporary, skipped } = objects;
  return {
    objects: scanned.count,
    valid: valid.count,
    'pending delete': pending.count,
    'pending delete bytes': pending.bytes,
    compacted: delayed.count,
    'compacted bytes': delayed.bytes,
    leaked: leaked.count + temporary.count,
    'leaked bytes': leaked.bytes + temporary.bytes,
    skipped: skipped.count,
    'skipped bytes': skipped.bytes,
  };
}

class Both {
  readonly juicefs: Juicefs;
  readonly #pageseal: Pageseal;
  readonly #metaUrl: string;

  constructor(temp: Temp, { metaUrl, passphrase }: TestVolume) {
    this.juicefs = new Juicefs(temp, passphrase);
    this.#pageseal = new Pageseal(temp, passphrase);
    this.#metaUrl = metaUrl;
  }

  async gc(...flags: string[]): Promise<GcReport> {
    const text = await this.#pageseal.ok(['gc', this.#metaUrl, '--json', '--older-than', '0', ...flags]);
    return JSON.parse(text.slice(text.indexOf('{'))) as GcReport;
  }

  async same(): Promise<Record<string, number>> {
    const report = ours(await this.gc());
    assert.deepEqual(report, figures(await this.juicefs.gc(this.#metaUrl)));
    return report;
  }
}

const volumes: readonly (readonly [VolumeName, boolean])[] = [
  ['trash0', false],
  ['hashprefix', true],
  ['plain', false],
];
for (const [name, hashPrefix] of volumes)
  test(`both clients find the same garbage in ${name}, and none after ours was told to delete it`, tools, async (t) => {
    const temp = makeTemp(t);
    const volume = await volumeAt(temp, name);
    const both = new Both(temp, volume);
    const before = await both.same();
    assert.equal(before['leaked'], 0);
    // With the trash on, compaction leaves what it replaced to the trash.
    if (hashPrefix) await both.juicefs.ok(['gc', volume.metaUrl, '--compact']);
    else assert.deepEqual((await both.gc('--compact')).compacted?.failures, []);
    await litter(volume, name, hashPrefix);
    const dirty = await both.same();
    assert.deepEqual(
      [dirty['leaked'], dirty['leaked bytes'], dirty['pending delete']],
      isScaled ? [4, LEAKED_BYTES, 2] : [5, LEAKED_BYTES + LEFT_OVER_BYTES, 2],
    );
    if (name === 'plain') assert.ok((dirty['compacted'] ?? 0) > 0);
    await both.gc('--delete');
    const clean = await both.same();
    assert.deepEqual([clean['leaked'], clean['pending delete']], [0, 0]);
    assert.deepEqual(await both.juicefs.fsck(volume.metaUrl), []);
    assert.deepEqual(await placeViolations(volume.place, { original: true }), []);
  });

test('gc takes nothing from mounts that are writing', needs('root', 'fuse', 'juicefs', 'the addon'), async (t) => {
  const temp = makeTemp(t);
  const [juicefs, pageseal] = [new Juicefs(temp), new Pageseal(temp)];
  const place = await newPlace(temp);
  const { metaUrl } = place;
  await pageseal.formatAt(place, 'busy', ['--trash-days', '0', '--block-size', '64K']);
  const [ours, theirs] = [temp.at('ours'), temp.at('theirs')];
  await pageseal.mount(metaUrl, ours);
  await startRootSums(place, ours);
  await juicefs.mount(metaUrl, theirs);
  const contents = new Map<string, Buffer>();
  let running = true;
  const write = async (): Promise<void> => {
    for (let at = 0; running || at < 40; at++) {
      const [path, body] = [join(at % 2 === 0 ? ours : theirs, `file ${at % 40}`), Buffer.alloc(100_000 + at, at)];
      await writeFile(path, body);
      contents.set(path, body);
      if (at % 5 !== 4) continue;
      await rm(path);
      contents.delete(path);
    }
  };
  const collect = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await pageseal.ok(['gc', metaUrl, '--delete', '--compact']);
    running = false;
  };
  await Promise.all([write(), collect()]);
  for (const [path, body] of contents) assert.deepEqual(await readFile(path), body, path);
  await pageseal.umount(ours);
  await juicefs.umount(theirs);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  await pageseal.ok(['gc', metaUrl, '--delete', '--older-than', '0']);
  assert.match(await juicefs.gc(metaUrl), / 0 pending delete .* 0 leaked .* 0 delfiles/);
  assert.deepEqual(await placeViolations(place, { original: true }), []);
});
