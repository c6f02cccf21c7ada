// Names of any bytes, paths beyond PATH_MAX, link targets and extended attributes at their limits: as on the local disk, and
// what the other client shows.
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';

const parts = ['names', 'links', 'paths', 'attributes'];
/** Disks keep attributes in a block; the format has room for what the kernel lets through. */
const larger = { 'value of 65536': true, many: 201 };

const steps = async (directory: string, some: readonly string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await runOk('python3', [join(import.meta.dirname, 'limits.py'), directory, ...some]));

test(
  'names, paths, links and attributes reach the limits of the local disk, and end there',
  needs(...interopNeeds),
  async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const [disk, ours, theirs] = [temp.folder('disk'), temp.folder('ours'), temp.folder('theirs')];
    const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
    chmodSync(temp.path, 0o755);
    const right = await steps(disk, parts);
    t.diagnostic(`${Object.keys(right).length} steps`);
    await pageseal.formatAt(place, 'limits');
    await pageseal.mount(metaUrl, ours);
    assert.deepEqual(await steps(ours, [...parts, 'large_attributes']), { ...right, ...larger });
    await juicefs.mount(metaUrl, theirs);
    assert.deepEqual(treeDifferences(await readTree(theirs), await readTree(ours)), []);
    await juicefs.umount(theirs);
    await pageseal.umount(ours);
    assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
  },
);

test(
  'capabilities of files are kept where the mount says so, until the file is written to',
  needs(...interopNeeds),
  async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const [disk, ours] = [temp.folder('disk'), temp.folder('ours')];
    const pageseal = new Pageseal(temp);
    chmodSync(temp.path, 0o755);
    const right = await steps(disk, ['capabilities']);
    assert.equal(right['capability after write'], 'ENODATA');
    await pageseal.formatAt(place, 'capable');
    await pageseal.mount(metaUrl, ours, ['--enable-cap', '--enable-selinux']);
    assert.deepEqual(await steps(ours, ['capabilities']), right);
    await runOk('python3', [
      '-c',
      'import os, sys; os.setxattr(sys.argv[1], "security.selinux", b"a:b:c:s0")',
      join(ours, 'capable-read'),
    ]);
    const rules = [join(import.meta.dirname, 'rules.py'), ours, 'killed'];
    const killed = await runOk('python3', rules);
    assert.equal(killed, await runOk('python3', [...rules.with(1, disk)]), 'set-id bits go as before');
    await pageseal.umount(ours);
    await pageseal.mount(metaUrl, ours);
    const shown = await runOk('python3', [
      '-c',
      'import os, sys; print(os.listxattr(sys.argv[1]))',
      join(ours, 'capable-read'),
    ]);
    assert.equal(shown.trim(), '[]', 'another mount shows neither');
    await pageseal.umount(ours);
  },
);
