// A dump of either client loads with either, and says the same again: the tree, the trash, quotas, access lists. The data
// is there for both.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fsck } from '../../src/filesystem/fsck/fsck.ts';
import { openFileSystem } from '../../src/filesystem/open.ts';
import { dumpOf, loadText } from '../harness/dumps.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { readLibraryTree } from '../harness/library-tree.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { treeDifferences } from '../harness/tree.ts';
import { type TestVolume, volumeAt, volumeNames } from '../harness/volumes.ts';
import { placeViolations } from '../model/invariants.ts';

/** What is loaded opens its store with the credentials of the dump. */
const KEYS = ['--keep-secret-key'];

/** What carries meaning: the original client counts its counters anew, and invents a trash where there is none. */
function meaning(text: string): unknown {
  const dump = JSON.parse(text) as Record<string, Record<string, unknown>>;
  for (const name of ['nextInodes', 'nextChunk', 'nextSession']) delete dump['Counters']?.[name];
  delete dump['pageseal_tables'];
  const trash = dump['Trash'];
  if (trash !== undefined && Object.keys(trash['entries'] ?? {}).length === 0) delete dump['Trash'];
  return dump;
}

describe('load', needs('juicefs'), () => {
  const temp = makeTemp();

  async function assertWhole(volume: TestVolume, metaUrl: string): Promise<void> {
    const key = volume.keyFile !== undefined && {
      key: {
        kind: 'in-metadata' as const,
        ...(volume.passphrase !== undefined && { passphrase: Buffer.from(volume.passphrase) }),
      },
    };
    const fs = await openFileSystem({ metaUrl, readOnly: true, ...key });
    try {
      assert.deepEqual(treeDifferences(volume.manifest.entries, await readLibraryTree(fs.vfs, fs.vfs.root)), []);
    } finally {
      await fs.close();
    }
  }

  for (const name of volumeNames)
    test(`${name}: there and back`, async () => {
      const volume = await volumeAt(temp, name);
      const juicefs = new Juicefs(temp, volume.passphrase);
      const at = (what: string) => temp.at(`${name}.${what}`);
      await juicefs.ok(['dump', ...KEYS, volume.metaUrl, at('theirs')]);
      const theirs = readFileSync(at('theirs'), 'utf8');

      const place = await newPlace(temp, `${name}.loaded`);
      const loaded = place.metaUrl;
      await loadText(loaded, theirs, { size: 65_536 });
      assert.deepEqual(await placeViolations(place), []);
      const ours = await dumpOf(loaded, { keepSecretKey: true });
      assert.deepEqual(meaning(ours), meaning(theirs));
      await juicefs.ok(['dump', ...KEYS, loaded, at('again')]);
      assert.deepEqual(meaning(readFileSync(at('again'), 'utf8')), meaning(theirs));
      await assertWhole(volume, loaded);
      assert.deepEqual(await juicefs.fsck(loaded), []);
      assert.deepEqual(await juicefs.fsckTree(loaded), []);
      assert.deepEqual((await fsck({ metaUrl: loaded })).findings, []);

      const { metaUrl: back } = await newPlace(temp, `${name}.back`);
      writeFileSync(at('ours'), ours);
      await juicefs.ok(['load', back, at('ours')]);
      await juicefs.ok(['dump', ...KEYS, back, at('back')]);
      assert.deepEqual(meaning(readFileSync(at('back'), 'utf8')), meaning(theirs));
      assert.deepEqual(await juicefs.fsck(back), []);
      await assertWhole(volume, back);
    });

  test('packed, from a pipe, and with the names of early releases', async () => {
    const volume = await volumeAt(temp, 'plain');
    const juicefs = new Juicefs(temp);
    const pageseal = new Pageseal(temp);
    const before = (await pageseal.run(['dump', ...KEYS, volume.metaUrl])).stdout;
    for (const ending of ['gz', 'zstd']) {
      const file = temp.at(`packed.json.${ending}`);
      const { metaUrl: loaded } = await newPlace(temp, ending);
      await juicefs.ok(['dump', ...KEYS, volume.metaUrl, file]);
      await pageseal.ok(['load', loaded, file]);
      assert.equal((await pageseal.run(['dump', ...KEYS, loaded])).stdout, before);
    }
    const old = before.replaceAll('{"id":', '{"chunkid":').replaceAll(',"users":null', '');
    const { metaUrl: loaded } = await newPlace(temp, 'pipe');
    assert.equal((await pageseal.run(['load', loaded], old)).code, 0);
    assert.equal((await pageseal.run(['dump', ...KEYS, loaded])).stdout, before);
  });
});
