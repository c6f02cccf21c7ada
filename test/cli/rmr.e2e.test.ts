// `pageseal rmr` on a mount in use: what it removed is gone there too, links are not followed, and both clients' checks agree.
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { violations } from '../model/invariants.ts';

const options = needs('root', 'fuse', 'juicefs', 'the addon');

test('trees go, on the mount too', options, async (t) => {
  const temp = makeTemp(t);
  const pageseal = new Pageseal(temp);
  const juicefs = new Juicefs(temp);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  await pageseal.format(metaUrl, 'removed', temp.at('objects'));
  const mountPoint = temp.at('mnt');
  await pageseal.mount(metaUrl, mountPoint);
  for (const top of ['one', 'two', 'three']) {
    mkdirSync(`${mountPoint}/${top}/a/b/c`, { recursive: true });
    for (let at = 0; at < 40; at++) writeFileSync(`${mountPoint}/${top}/a/${at}`, `file ${at}`);
  }
  symlinkSync('three', `${mountPoint}/link`);

  const open = openSync(`${mountPoint}/two/a/7`, 'r');
  assert.match(await pageseal.ok(['rmr', `${mountPoint}/one`]), /44 entries removed/);
  assert.deepEqual(
    JSON.parse(await pageseal.ok(['rmr', '--skip-trash', '--threads', '4', '--json', `${mountPoint}/two/`])),
    { path: `${mountPoint}/two/`, removed: 44 },
  );
  assert.match(await pageseal.ok(['rmr', `${mountPoint}/link`]), /1 entries removed/);
  // The kernel may believe names for as long as the mount told it.
  await until('the mount shows it', () => !['one', 'two', 'link'].some((name) => existsSync(`${mountPoint}/${name}`)));
  assert.deepEqual(readdirSync(`${mountPoint}/three/a/b`), ['c']);
  // A file that the mount has open stays until its last close.
  assert.equal(readFileSync(open, 'utf8'), 'file 7');
  closeSync(open);

  for (const [path, said] of [
    [mountPoint, /something is mounted there|root of a volume/],
    [`${mountPoint}/none`, /no such path/],
    [temp.path, /not on a mount of Pageseal/],
  ] as const)
    assert.match((await pageseal.run(['rmr', path])).stderr, said);

  await pageseal.umount(mountPoint);
  assert.deepEqual(violations(temp.at('meta.db')), []);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
  assert.match(await juicefs.gc(metaUrl), / 0 pending delete.* 0 leaked/);
});
