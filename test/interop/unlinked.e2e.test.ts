// A file that we unlink stays until our other mounts have looked whether they have it open. What the original client
// writes to it meanwhile belongs to no directory any more.
import assert from 'node:assert/strict';
import { rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, rows } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { Locker } from './locker.ts';

/** None of them comes before the original client has written. */
const LATE = ['--heartbeat', '60s'];

for (const act of ['unlink', 'rename over it'] as const) {
  test(`${act}: what the original client then writes counts in no directory`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
    await juicefs.formatAt(place, 'unlinked', ['--trash-days', '0']);
    const at = { first: temp.folder('first'), second: temp.folder('second'), juicefs: temp.folder('juicefs') };
    await pageseal.mount(metaUrl, at.first, LATE);
    await pageseal.mount(metaUrl, at.second, LATE);
    await writeFile(join(at.first, 'other'), 'another');
    await pageseal.ok(['quota', 'set', metaUrl, '--path', '/', '--capacity', '10M']);
    await juicefs.mount(metaUrl, at.juicefs);

    const writer = await Locker.start(temp);
    assert.equal(await writer.tell(`open f ${join(at.juicefs, 'f')} r+`), 'ok');
    assert.equal(await writer.tell('write f 0 before'), 'ok');
    assert.equal(await writer.tell('fsync f'), 'ok');
    const { ino } = await stat(join(at.juicefs, 'f'));
    if (act === 'unlink') await rm(join(at.first, 'f'));
    else await rename(join(at.first, 'other'), join(at.first, 'f'));
    assert.equal(await writer.tell('write f 9000 after'), 'ok');
    assert.equal(await writer.tell('fsync f'), 'ok');
    const [kept] = await rows(place, `SELECT nlink, length FROM jfs_node WHERE inode = ${ino}`);
    assert.deepEqual({ ...kept }, { nlink: 0n, length: 9005n }, 'it is kept, and has grown');
    assert.equal(await writer.tell('close f'), 'ok');
    await writer.end();

    await juicefs.umount(at.juicefs);
    await pageseal.umount(at.first);
    await pageseal.umount(at.second);
    assert.deepEqual(await placeViolations(place, { original: true, quotas: true }), []);
    await juicefs.ok(['quota', 'check', metaUrl, '--path', '/', '--strict']);
    assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
  });
}
