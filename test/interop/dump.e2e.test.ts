// `pageseal dump` against the original client's, byte for byte, on volumes that it made.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { volumeAt, volumeNames } from '../harness/volumes.ts';

/** What the original client invents where a volume has no trash directory. */
const INVENTED =
  /,\n {2}"Trash": \{\n.*"mode":0,"uid":0,"gid":0,"atime":0,"mtime":0,"ctime":0.*\n {4}"entries": \{\n {4}\}\n {2}\}/;

describe('dump', needs('juicefs'), () => {
  const temp = makeTemp();
  const juicefs = new Juicefs(temp);
  const pageseal = new Pageseal(temp);

  for (const name of volumeNames)
    test(`${name}: the same text`, async () => {
      const { metaUrl } = await volumeAt(temp, name);
      const [theirs, ours] = [temp.at(`${name}.theirs`), temp.at(`${name}.ours`)];
      await juicefs.ok(['dump', metaUrl, theirs]);
      await pageseal.ok(['dump', metaUrl, ours]);
      assert.equal(readFileSync(ours, 'utf8'), readFileSync(theirs, 'utf8').replace(INVENTED, ''));
      assert.equal(statSync(ours).mode & 0o777, 0o600);
    });

  test('a directory, without trash, packed, to standard output: all as there', async () => {
    const { metaUrl } = await volumeAt(temp, 'plain');
    for (const flags of [['--subdir', '/dir'], ['--skip-trash'], ['--keep-secret-key']]) {
      await juicefs.ok(['dump', metaUrl, temp.at('theirs'), ...flags]);
      const ours = await pageseal.run(['dump', metaUrl, ...flags]);
      assert.equal(ours.stdout, readFileSync(temp.at('theirs'), 'utf8'));
    }
    const plain = (await pageseal.run(['dump', metaUrl])).stdout;
    const summary = await pageseal.ok(['dump', metaUrl, temp.at('o.json.gz'), '--json']);
    assert.equal((JSON.parse(summary) as { entries: number }).entries, 53);
    await pageseal.ok(['dump', metaUrl, temp.at('o.json.zstd')]);
    assert.equal(gunzipSync(readFileSync(temp.at('o.json.gz'))).toString(), plain);
    assert.equal(zstdDecompressSync(readFileSync(temp.at('o.json.zstd'))).toString(), plain);
  });
});
