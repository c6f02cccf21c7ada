// The second transport, with a real mount. No process may be started while this one has a file of the mount open: the
// child closes its copy before exec, waits for the flush, and its parent, who would answer, waits for the exec.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type FuseNativeMount, mountFuseNative } from '../../src/fuse/fuse-native.ts';
import { parseMountOptions } from '../../src/fuse/mount-options.ts';
import { MemoryVfs } from './memory-vfs.ts';
import { mountPoint, quiet, takeAway } from './mounted.ts';

const run = promisify(execFile);
const python = (code: string, ...args: string[]) => run('python3', ['-c', `import os, sys\n${code}`, ...args]);

const options = { timeout: 60_000, skip: process.arch !== 'x64' && 'the package is built for x64' };
const vfs = new MemoryVfs();
let directory = '';
let mounted: FuseNativeMount;
before(async () => {
  directory = mountPoint();
  if (options.skip !== false) return;
  const parsed = parseMountOptions(['transport=fuse-native']);
  mounted = await mountFuseNative({ target: directory, source: 'test', vfs, log: quiet([]), options: parsed });
});
after(async () => {
  if (options.skip !== false) return;
  await takeAway(directory);
  await mounted?.stopped;
  assert.equal(vfs.flushedAll, 1);
  assert.equal(vfs.lookups.size, 0);
});
const at = (name: string): string => join(directory, name);

test('refuses allow_other', options, async () => {
  const parsed = parseMountOptions(['transport=fuse-native,allow_other']);
  const request = { target: directory, source: 'test', vfs, log: quiet([]), options: parsed };
  await assert.rejects(mountFuseNative(request), { code: 'unsupported', message: /allow_other/ });
});

test('writes and reads', options, async () => {
  const data = randomBytes(300_000);
  await fs.writeFile(at('a'), data);
  assert(data.equals(await fs.readFile(at('a'))));
  await fs.truncate(at('a'), 1000);
  assert.equal((await fs.stat(at('a'))).size, 1000);
  const handle = await fs.open(at('a'), 'r+');
  try {
    await handle.truncate(500);
    await handle.sync();
  } finally {
    await handle.close();
  }
  assert.equal((await fs.readFile(at('a'))).length, 500);
  // The kernel releases in its own time.
  while (vfs.handles.size > 0) await turn();
});

test('names', options, async () => {
  await fs.mkdir(at('d'));
  await fs.writeFile(at('d/ä'), 'x');
  await fs.rename(at('d/ä'), at('b'));
  await fs.symlink('b', at('s'));
  assert.equal(await fs.readlink(at('s')), 'b');
  await fs.link(at('b'), at('hard'));
  assert.equal((await fs.stat(at('hard'))).nlink, 2);
  assert.deepEqual((await fs.readdir(directory)).sort(), ['a', 'b', 'd', 'hard', 's']);
  await fs.unlink(at('hard'));
  await fs.rmdir(at('d'));
  await assert.rejects(fs.stat(at('d')), { code: 'ENOENT' });
  await run('mknod', [at('fifo'), 'p']);
  assert((await fs.lstat(at('fifo'))).isFIFO());
});

test('attributes and extended ones', options, async () => {
  await fs.chmod(at('b'), 0o600);
  await fs.chown(at('b'), 5, 6);
  await fs.utimes(at('b'), 1000, 1000);
  const stat = await fs.stat(at('b'));
  assert.deepEqual([stat.mode, stat.uid, stat.gid, stat.mtimeMs], [0o100600, 5, 6, 1_000_000]);
  const { stdout } = await python(
    'p = sys.argv[1]; os.setxattr(p, "user.a", b"1"); print(os.getxattr(p, "user.a"), os.listxattr(p)); os.removexattr(p, "user.a")',
    at('b'),
  );
  assert.equal(stdout.trim(), "b'1' ['user.a']");
  await python('assert os.statvfs(sys.argv[1]).f_namemax == 255', directory);
});
