// The kernel's side, driven by the real kernel: every operation through node:fs and a few tools, over a Vfs in memory.
import assert from 'node:assert/strict';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { MemoryVfs } from './memory-vfs.ts';
import { type Mounted, mountVfs } from './mounted.ts';

suite('a mounted Vfs', () => {
  const vfs = new MemoryVfs();
  let mounted: Mounted;
  before(() => {
    mounted = mountVfs(vfs);
  });
  after(() => mounted.unmount());
  const at = (name: string): string => join(mounted.directory, name);

  test('files are written and read', async () => {
    await fs.writeFile(at('a'), 'hello');
    assert.equal(await fs.readFile(at('a'), 'utf8'), 'hello');
    assert.deepEqual(await fs.readdir(mounted.directory), ['a']);
  });
});
