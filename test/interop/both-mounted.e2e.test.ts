// Both clients mounted on one volume at once: what one has closed, the other sees at its next look.
import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';

const ROUNDS = 5;
const passphrase = 'for both';

test('closed files are seen by the other client, both ways', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
  const pageseal = new Pageseal(temp, passphrase);
  const juicefs = new Juicefs(temp, passphrase);
  const flags = ['--encrypt-rsa-key', key.file, '--compress', 'zstd', '--block-size', '64K'];
  await pageseal.formatAt(place, 'both', flags);
  await pageseal.mount(metaUrl, ours);
  await juicefs.mount(metaUrl, theirs);

  for (const [from, to] of [
    [ours, theirs],
    [theirs, ours],
  ] as const)
    for (let round = 0; round < ROUNDS; round++) await exchange(from, to, `${from === ours ? 'o' : 't'}${round}`);

  await juicefs.umount(theirs);
  await pageseal.umount(ours);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
});

/** Create, append, replace, rename, remove on one side; each looked at from the other. */
async function exchange(from: string, to: string, name: string): Promise<void> {
  const file = join(name, 'file');
  await mkdir(join(from, name));
  const contents = Buffer.alloc(150_000, name);
  await writeFile(join(from, file), contents);
  await seen(join(to, file), contents);
  await appendFile(join(from, file), 'more');
  await seen(join(to, file), Buffer.concat([contents, Buffer.from('more')]));
  await writeFile(join(from, file), 'shorter');
  await seen(join(to, file), Buffer.from('shorter'));
  await rename(join(from, file), join(from, name, 'renamed'));
  await until('the new name is seen', async () => (await readdir(join(to, name))).join() === 'renamed');
  await rm(join(from, name), { recursive: true });
  await until('the folder is gone', () =>
    stat(join(to, name)).then(
      () => false,
      () => true,
    ),
  );
}

/** At the next look, or when what the kernel may believe of attributes and names has passed. */
const seen = (path: string, contents: Buffer): Promise<void> =>
  until(`${path} is seen as it was closed`, () =>
    readFile(path).then(
      (found) => found.equals(contents),
      () => false,
    ),
  );
