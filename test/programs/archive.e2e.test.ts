// tar and rsync from and to a mount: every attribute that they know survives the round trip.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';
import { ProgramVolume } from './volume.ts';

const script = fileURLToPath(new URL('archive.py', import.meta.url));
const tar = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '--sparse', '-p'];
/** Directories' sizes and link counts are the file system's own affair, inodes anyway. */
const own = ['ino', 'nlink', 'size'] as const;

describe('archives', needs(...interopNeeds), () => {
  const tools: readonly [string, (volume: ProgramVolume, from: string, to: string) => Promise<unknown>][] = [
    [
      'tar',
      async (volume, from, to) => {
        const archive = `${to}.tar`;
        await volume.run('tar', [...tar, '-cf', archive, '--format=posix', '-C', from, '.']);
        await volume.run('mkdir', [to]);
        await volume.run('tar', [...tar, '-xf', archive, '-C', to]);
      },
    ],
    ['rsync', (volume, from, to) => volume.run('rsync', ['-aHAXS', '--numeric-ids', `${from}/`, to])],
    ['cp', (volume, from, to) => volume.run('cp', ['-a', '--sparse=always', from, to])],
  ];
  for (const [name, copy] of tools)
    test(`${name} carries every attribute there and back`, name === 'rsync' ? needs('rsync') : {}, async (t) => {
      const temp = makeTemp(t);
      const volume = await ProgramVolume.mount(temp);
      const local = temp.at('local');
      await volume.run('python3', [script, 'make', local]);
      const expected = await readTree(local);
      const there = join(volume.top, 'there');
      await copy(volume, local, there);
      assert.deepEqual(treeDifferences(expected, await readTree(there), own), [], 'on the mount');
      await volume.remount();
      await copy(volume, there, temp.at('back'));
      assert.deepEqual(treeDifferences(expected, await readTree(temp.at('back')), own), [], 'back');
      // tar looks for holes where stat shows fewer blocks than bytes, which a mount does not (SEMANTICS.md, attributes).
      const holes = name === 'tar' ? [] : ['holes'];
      await volume.run('python3', [script, 'check', local, there, 'holes']);
      await volume.run('python3', [script, 'check', local, temp.at('back'), ...holes]);
      if (name === 'rsync') {
        const changes = await volume.run('rsync', ['-aHAXS', '--numeric-ids', '-c', '-i', `${local}/`, there]);
        assert.equal(changes, '', 'a second run has nothing to do');
      }
      await volume.end();
    });
});
