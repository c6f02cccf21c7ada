// Names and attributes that another mount changes: what a kernel may still believe, for how long, and what it never sees.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errnoNumbers } from '../../src/base/errno.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { Content, pattern } from '../model/content.ts';
import type { Seen } from '../model/orders.ts';
import { A, B, everything, twoMounts, wanted } from './two-mounts.ts';

const ROUNDS = 10;
const REPLACED = 60;
/** Some pages, and the last in part. */
const LENGTHS = [100, 70_000, 200_000];
const { ENOENT } = errnoNumbers;

for (const trashDays of [0, 1])
  test(`a name that is replaced by rename is always one whole file, trash of ${trashDays} days`, wanted, async (t) => {
    const mounts = await twoMounts(makeTemp(t), trashDays);
    const reader = mounts.another();
    const versions: string[] = [];
    async function replace(version: number): Promise<void> {
      const data = { seed: `${version}`, len: LENGTHS[version % LENGTHS.length] ?? 0 };
      const content = new Content();
      content.write(0, pattern(data.seed, data.len));
      versions.push(content.digestOfPart(0, everything.len));
      await mounts.ask(A, 'create', { p: 'new', mode: 0o644, exclusive: true });
      await mounts.ask(A, 'write', { p: 'new', at: 0, ...data, truncate: false });
      await mounts.ask(A, 'rename', { p: 'new', q: 'f', flags: 0 });
    }
    await replace(0);
    let writing = true;
    const replacing = (async () => {
      for (let version = 1; version < REPLACED; version++) await replace(version);
    })().finally(() => {
      writing = false;
    });
    const reading = (async () => {
      let last = 0;
      for (let reads = 0; writing; reads++) {
        const seen = await reader.ask(B, 'read', { p: 'f', ...everything });
        const version = versions.indexOf(String(seen));
        assert.ok(version >= last, `read ${reads}: version ${version} after ${last}`);
        last = version;
      }
    })();
    for (const outcome of await Promise.allSettled([reading, replacing]))
      if (outcome.status === 'rejected') throw outcome.reason;
    assert.equal(await reader.ask(B, 'read', { p: 'f', ...everything }), versions.at(-1));
    await Promise.all([mounts.end(), reader.end()]);
  });

test('a name that was looked up in vain is there as soon as another mount has made it', wanted, async (t) => {
  const mounts = await twoMounts(makeTemp(t), 1);
  for (let round = 0; round < ROUNDS; round++) {
    const p = `f${round}`;
    assert.equal(await mounts.try(B, 'stat', { p }), ENOENT);
    await mounts.ask(A, 'create', { p, mode: 0o644, exclusive: true });
    await mounts.ask(B, 'stat', { p });
  }
  await mounts.end();
});

test('a name that is believed not to be there is seen when its lifetime is over', wanted, async (t) => {
  const mounts = await twoMounts(makeTemp(t), 1, ['--negative-entry-cache', '1s']);
  assert.equal(await mounts.try(B, 'stat', { p: 'f' }), ENOENT);
  await mounts.ask(A, 'create', { p: 'f', mode: 0o644, exclusive: true });
  await until('the name is seen', async () => (await mounts.try(B, 'stat', { p: 'f' })) === 0);
  // What the mount makes itself is never believed away.
  assert.equal(await mounts.try(B, 'stat', { p: 'own' }), ENOENT);
  await mounts.ask(B, 'create', { p: 'own', mode: 0o644, exclusive: true });
  await mounts.ask(B, 'stat', { p: 'own' });
  await mounts.end();
});

test('names and attributes are those of another mount when their lifetimes are over', wanted, async (t) => {
  const mounts = await twoMounts(makeTemp(t), 1);
  const { ask } = mounts;
  const mode = async (p: string): Promise<number> => ((await ask(B, 'stat', { p })) as Seen).mode;
  await ask(A, 'mkdir', { p: 'd', mode: 0o755 });
  await ask(A, 'create', { p: 'd/f', mode: 0o644, exclusive: true });
  assert.deepEqual([await mode('d'), await mode('d/f')], [0o755, 0o644]);
  await ask(A, 'chmod', { p: 'd/f', mode: 0o600 });
  await ask(A, 'chmod', { p: 'd', mode: 0o700 });
  await until('the attributes are seen', async () => (await mode('d/f')) === 0o600 && (await mode('d')) === 0o700);
  await ask(A, 'rename', { p: 'd', q: 'moved', flags: 0 });
  assert.equal(await mode('moved/f'), 0o600, 'under a name that was not there before, at once');
  await until(
    'the old name of the directory is gone',
    async () => (await mounts.try(B, 'stat', { p: 'd' })) === ENOENT,
  );
  await ask(A, 'unlink', { p: 'moved/f' });
  await until('the file is gone', async () => (await mounts.try(B, 'stat', { p: 'moved/f' })) === ENOENT);
  await mounts.end();
});

test('without lifetimes every look is answered as things are', wanted, async (t) => {
  const none = ['--attr-cache', '0', '--entry-cache', '0', '--dir-entry-cache', '0', '--negative-entry-cache', '0'];
  const mounts = await twoMounts(makeTemp(t), 1, none);
  const { ask } = mounts;
  for (let round = 0; round < ROUNDS; round++) {
    await ask(A, 'mkdir', { p: 'd', mode: 0o755 });
    for (const mode of [0o700, 0o711]) {
      await ask(A, 'chmod', { p: 'd', mode });
      assert.equal(((await ask(B, 'stat', { p: 'd' })) as Seen).mode, mode);
    }
    await ask(A, 'rmdir', { p: 'd' });
    assert.equal(await mounts.try(B, 'stat', { p: 'd' }), ENOENT);
  }
  await mounts.end();
});
