// Which unlinked files a successor lets go of.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { letGoOfKept } from '../../../src/cli/worker/kept-files.ts';
import { MemoryVfs } from '../../fuse/memory-vfs.ts';

test('kept files go once the kernel does not know them', async () => {
  const vfs = new MemoryVfs();
  const forgotten: bigint[] = [];
  vfs.forget = (ino) => void forgotten.push(ino);
  const asked: (bigint | number)[][] = [];
  const kernel = {
    notifyInode: async (ino: bigint, ...rest: number[]) => {
      asked.push([ino, ...rest]);
      return ino === 5n;
    },
  };
  await letGoOfKept({ vfs, keptForOthers: () => [5n, 6n] }, kernel);
  assert.deepEqual(forgotten, [6n]);
  assert.deepEqual(asked, [
    [5n, -1, 0],
    [6n, -1, 0],
  ]);
});
