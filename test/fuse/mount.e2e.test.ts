// The kernel's side, driven by the real kernel: every operation through node:fs and a few tools, over a Vfs in memory.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { raiseReadAhead } from '../../src/fuse/mount.ts';
import { MAX_WRITE, type NegotiatedState } from '../../src/fuse/negotiate.ts';
import { startSession } from '../../src/fuse/session.ts';
import { MemoryVfs } from './memory-vfs.ts';
import { type Mounted, mountVfs, quiet, takeAway } from './mounted.ts';

const run = promisify(execFile);
const python = (code: string, ...args: string[]) => run('python3', ['-c', `import os, sys\n${code}`, ...args]);
const code = (wanted: string) => (thrown: unknown) => (thrown as { code?: string }).code === wanted;

/** Waits for something the kernel does in its own time (forgets, releases). */
async function eventually(what: () => boolean): Promise<void> {
  while (!what()) await turn();
}

suite('a mounted Vfs', { timeout: 300_000 }, () => {
  const vfs = new MemoryVfs();
  let mounted: Mounted;
  before(() => {
    mounted = mountVfs(vfs);
  });
  after(() => mounted.unmount());
  const at = (name: string): string => join(mounted.directory, name);
  const nodeOf = (name: string) => {
    const ino = vfs.nodes.get(vfs.root)?.children.get(name);
    const node = ino === undefined ? undefined : vfs.nodes.get(ino);
    assert(node);
    return node;
  };

  test('negotiates what kernel 5.4 and later have, and says the type of the mount', async () => {
    const mounts = await fs.readFile('/proc/self/mountinfo', 'utf8');
    assert.match(mounts, new RegExp(`${mounted.directory} .* fuse.pageseal test .*default_permissions,allow_other`));
  });

  test('files are written, read, truncated and appended to', async () => {
    await fs.writeFile(at('a'), 'hello');
    await fs.appendFile(at('a'), ' world');
    assert.equal(await fs.readFile(at('a'), 'utf8'), 'hello world');
    await fs.truncate(at('a'), 4);
    assert.equal(await fs.readFile(at('a'), 'utf8'), 'hell');
    await fs.writeFile(at('a'), 'x');
    assert.equal(await fs.readFile(at('a'), 'utf8'), 'x');
    assert.equal((await fs.stat(at('a'))).size, 1);
    assert(vfs.calls.includes('flush'));
  });

  test('modes, owners and times', async () => {
    await fs.writeFile(at('attr'), '');
    await fs.chmod(at('attr'), 0o640);
    await fs.chown(at('attr'), 12, 34);
    await python('os.utime(sys.argv[1], ns=(1_000_000_001, -5))', at('attr'));
    const stat = await fs.stat(at('attr'), { bigint: true });
    assert.equal(stat.mode, 0o100640n);
    assert.deepEqual([stat.uid, stat.gid], [12n, 34n]);
    assert.deepEqual([stat.atimeNs, stat.mtimeNs], [1_000_000_001n, -5n]);
    await python('os.utime(sys.argv[1])', at('attr'));
    assert((await fs.stat(at('attr'))).mtimeMs > 1e12);
  });

  test('callers and their umask arrive', async () => {
    await fs.mkdir(at('open'));
    await fs.chmod(at('open'), 0o777);
    await python('os.umask(0o027); os.setgid(77); os.setuid(55); os.mkdir(sys.argv[1], 0o777)', at('open/theirs'));
    const stat = await fs.stat(at('open/theirs'));
    assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o7777], [55, 77, 0o750]);
    assert.equal(vfs.lastCaller?.umask, 0o027);
    assert.equal(vfs.lastCaller?.request, undefined);
    await assert.rejects(python('os.setuid(55); open(sys.argv[1])', at('attr')), /PermissionError/);
  });

  test('directories are made and removed, and only when empty', async () => {
    await fs.mkdir(at('d'));
    await fs.writeFile(at('d/f'), '1');
    await assert.rejects(fs.rmdir(at('d')), code('ENOTEMPTY'));
    await fs.unlink(at('d/f'));
    await fs.rmdir(at('d'));
    await assert.rejects(fs.stat(at('d')), code('ENOENT'));
    await assert.rejects(fs.mkdir(at('n'.repeat(256))), code('ENAMETOOLONG'));
  });

  test('rename, and its flags', async () => {
    const rename2 = `import ctypes; libc = ctypes.CDLL(None, use_errno=True)
a, b, flags = sys.argv[1].encode(), sys.argv[2].encode(), int(sys.argv[3])
sys.exit(ctypes.get_errno() if libc.renameat2(-100, a, -100, b, flags) else 0)`;
    await fs.writeFile(at('one'), 'one');
    await fs.writeFile(at('two'), 'two');
    await assert.rejects(
      python(rename2, at('one'), at('two'), '1'),
      (e: unknown) => (e as { code: number }).code === 17,
    );
    await python(rename2, at('one'), at('two'), '2');
    assert.equal(await fs.readFile(at('one'), 'utf8'), 'two');
    await fs.rename(at('one'), at('two'));
    assert.equal(await fs.readFile(at('two'), 'utf8'), 'two');
    await assert.rejects(fs.stat(at('one')), code('ENOENT'));
  });

  test('links, symbolic links and special files', async () => {
    await fs.writeFile(at('target'), 'data');
    await run('ln', [at('target'), at('hard')]);
    assert.equal((await fs.stat(at('hard'))).nlink, 2);
    await fs.symlink('target', at('soft'));
    assert.equal(await fs.readlink(at('soft')), 'target');
    assert.equal(await fs.readFile(at('soft'), 'utf8'), 'data');
    await run('mknod', [at('fifo'), 'p']);
    await run('mknod', [at('null'), 'c', '1', '259']);
    assert((await fs.lstat(at('fifo'))).isFIFO());
    const device = await fs.lstat(at('null'));
    assert(device.isCharacterDevice());
    assert.equal(device.rdev, 0x100103);
  });

  test('extended attributes', async () => {
    await fs.writeFile(at('x'), '');
    const script = `p = sys.argv[1]
os.setxattr(p, 'user.a', b'1\\x002')
os.setxattr(p, 'user.b', b'')
try: os.setxattr(p, 'user.a', b'', os.XATTR_CREATE)
except FileExistsError: print('exists')
try: os.setxattr(p, 'user.c', b'', os.XATTR_REPLACE)
except OSError as e: print(e.errno)
print(os.getxattr(p, 'user.a'), os.getxattr(p, 'user.b'), sorted(os.listxattr(p)))
os.setxattr(p, 'user.long', b'z' * 60000)
print(len(os.getxattr(p, 'user.long')))
os.removexattr(p, 'user.long')
os.removexattr(p, 'user.a')
try: os.getxattr(p, 'user.a')
except OSError as e: print(e.errno)`;
    const { stdout } = await python(script, at('x'));
    assert.deepEqual(stdout.trim().split('\n'), ['exists', '61', "b'1\\x002' b'' ['user.a', 'user.b']", '60000', '61']);
  });

  test('a mebibyte travels in one request, both ways', async () => {
    const data = randomBytes(5 * MAX_WRITE + 123);
    vfs.writeSizes.length = 0;
    vfs.readSizes.length = 0;
    await fs.writeFile(at('big'), '');
    await python('os.write(os.open(sys.argv[1], 1), b"#" * (1 << 21))', at('big'));
    assert(vfs.writeSizes.includes(MAX_WRITE));
    await fs.writeFile(at('big'), data);
    assert(raiseReadAhead(mounted.directory));
    await python(`${direct}\nwhile os.readv(fd, [room]): pass`, at('big'));
    assert(vfs.readSizes.includes(MAX_WRITE));
    assert(data.equals(await fs.readFile(at('big'))));
  });

  test('what a mapping writes has its place, also in a file opened to append', async () => {
    await fs.writeFile(at('mapped'), 'x'.repeat(8192));
    const append = "fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND); os.write(fd, b'end')";
    await python(append, at('mapped'));
    assert.equal(vfs.lastPlaced, false);
    await python(`import mmap\n${append}\nm = mmap.mmap(fd, 4096); m[0:3] = b'map'; m.flush()`, at('mapped'));
    assert.equal(vfs.lastPlaced, true);
    const cleared = 'import fcntl; fcntl.fcntl(fd, fcntl.F_SETFL, 0); os.pwrite(fd, b"put", 3)';
    await python(`${append}\n${cleared}`, at('mapped'));
    assert.equal(vfs.lastPlaced, true);
    const { data } = nodeOf('mapped');
    assert.equal(data.toString('latin1'), `mapput${'x'.repeat(8186)}endendend`);
  });

  test('every interesting offset of a file', async () => {
    const handle = await fs.open(at('holes'), 'w+');
    try {
      for (const offset of [2 ** 20, 1, 4095, 2 ** 22 - 1]) await handle.write('#', offset);
      await handle.sync();
      assert(vfs.calls.includes('fsync'));
      const { data } = nodeOf('holes');
      assert.equal(data.length, 2 ** 22);
      assert.deepEqual([data[1], data[4095], data[2 ** 20], data[2 ** 22 - 1], data[2]], [35, 35, 35, 35, 0]);
      const { bytesRead } = await handle.read(Buffer.alloc(10), 0, 10, 2 ** 22 - 3);
      assert.equal(bytesRead, 3);
    } finally {
      await handle.close();
    }
  });

  test('fallocate, lseek and statfs', async () => {
    const script = `fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 5000)
print(os.lseek(fd, 10, os.SEEK_DATA), os.lseek(fd, 10, os.SEEK_HOLE), os.fstat(fd).st_size)
try: os.lseek(fd, 5000, os.SEEK_DATA)
except OSError as e: print(e.errno)
v = os.statvfs(sys.argv[1]); print(v.f_blocks * v.f_frsize, v.f_namemax)`;
    const { stdout } = await python(script, at('seek'));
    assert.deepEqual(stdout.trim().split('\n'), ['10 5000 5000', '6', `${2 ** 40} 255`]);
  });

  test('a directory of 10,000 entries, with and without attributes', async () => {
    await fs.mkdir(at('many'));
    const directory = nodeOf('many');
    const sample = nodeOf('x');
    for (let i = 0; i < 10_000; i++) {
      const ino = 1_000_000n + BigInt(i);
      vfs.nodes.set(ino, { ...sample, attr: { ...sample.attr, ino } });
      directory.children.set(`entry-${i}`, ino);
    }
    assert.equal((await fs.readdir(at('many'))).length, 10_000);
    assert.equal(new Set(await fs.readdir(at('many'))).size, 10_000);
    const { stdout } = await run('sh', ['-c', `ls -l ${at('many')} | wc -l`]);
    assert.equal(stdout.trim(), '10001');
    assert(vfs.calls.includes('readdirplus'));
  });

  const direct = `import mmap, signal
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
room = mmap.mmap(-1, 1 << 20)`;

  test('a hung read ends with the signal that interrupts it', async () => {
    await fs.writeFile(at('hang'), 'never');
    for (const end of ['SIGKILL', 'SIGALRM'] as const) {
      const reads = vfs.readSizes.length;
      const handler = 'def stop(*_): raise KeyError\nsignal.signal(signal.SIGALRM, stop)';
      const child = spawn(
        'python3',
        ['-c', `import os, sys\n${direct}\n${handler}\nos.readv(fd, [room])`, at('hang')],
        {
          stdio: 'ignore',
        },
      );
      await eventually(() => vfs.readSizes.length > reads);
      assert.equal(mounted.session.stats().inFlight, 1);
      child.kill(end);
      const [status, signal] = await once(child, 'exit');
      if (end === 'SIGKILL') assert.equal(signal, 'SIGKILL');
      else assert.equal(status, 1);
      await eventually(() => mounted.session.stats().inFlight === 0);
    }
  });

  test('what the kernel asks in vain it asks once', async () => {
    await python(
      'print(os.copy_file_range(os.open(sys.argv[1], 0), os.open(sys.argv[2], 1), 3))',
      at('target'),
      at('x'),
    );
    assert.equal(nodeOf('x').data.toString(), 'dat');
    const ioctl =
      'import fcntl\ntry: fcntl.ioctl(os.open(sys.argv[1], 0), 0x66ff, b"12345678")\nexcept OSError as e: print(e.errno)';
    assert.equal((await python(ioctl, at('x'))).stdout.trim(), '25');
    await assert.rejects(python('os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)', mounted.directory), /Errno 95/);
  });

  test('writing takes set-user-id bits, and asks for no attribute before each write', async () => {
    await fs.writeFile(at('tool'), '#');
    await fs.chmod(at('tool'), 0o6777);
    vfs.calls.length = 0;
    const writes = 'os.setuid(55); fd = os.open(sys.argv[1], 1)\nfor i in range(50): os.write(fd, b"x" * 100)';
    await python(writes, at('tool'));
    assert.equal((await fs.stat(at('tool'))).mode & 0o7777, 0o777);
    assert(vfs.calls.filter((call) => call.startsWith('getxattr')).length <= 3);
    await fs.chmod(at('tool'), 0o4755);
    await fs.chown(at('tool'), 5, 5);
    assert.equal((await fs.stat(at('tool'))).mode & 0o7777, 0o755);
  });

  test('so do copied ranges and fallocate', async () => {
    for (const name of ['from', 'into']) {
      await fs.writeFile(at(name), 'some bytes');
      await fs.chown(at(name), 55, 55);
      await fs.chmod(at(name), 0o4755);
    }
    const open = 'os.setuid(55); a, b = os.open(sys.argv[1], 2), os.open(sys.argv[2], 2)';
    await python(`${open}\nos.copy_file_range(a, b, 4, 5, 0)`, at('from'), at('into'));
    assert(vfs.calls.includes('copy 4'));
    assert.equal(await fs.readFile(at('into'), 'utf8'), 'byte bytes');
    assert.deepEqual([nodeOf('from').attr.mode, nodeOf('into').attr.mode], [0o4755, 0o755]);
    await python(`${open}\nos.posix_fallocate(a, 0, 100)`, at('from'), at('into'));
    assert.equal(nodeOf('from').attr.mode, 0o755);
  });

  test('a shared mapping reaches the file', async () => {
    await fs.writeFile(at('mapped'), Buffer.alloc(8192));
    const script = `import mmap
m = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 8192)
m[5000:5005] = b'there'; m.flush(); m.close()`;
    await python(script, at('mapped'));
    assert.equal(nodeOf('mapped').data.subarray(5000, 5005).toString(), 'there');
  });

  test('notifications make the kernel look again', async () => {
    vfs.entryTimeout = vfs.attrTimeout = 3_600_000;
    await fs.writeFile(at('far'), 'old');
    await fs.readFile(at('far'));
    await fs.stat(at('far'));
    const node = nodeOf('far');
    node.data = Buffer.from('newer');
    node.attr.length = 5n;
    assert.equal((await fs.stat(at('far'))).size, 3);
    assert.equal(await mounted.session.notifyInode(node.attr.ino, 0, 0), true);
    assert.equal(await mounted.session.notifyInode(12_345_678n, -1, 0), false, 'it never heard of that');
    assert.equal((await fs.stat(at('far'))).size, 5);
    assert.equal(await fs.readFile(at('far'), 'utf8'), 'newer');
    vfs.nodes.get(vfs.root)?.children.delete('far');
    await mounted.session.notifyEntry(vfs.root, Buffer.from('far'));
    await assert.rejects(fs.stat(at('far')), code('ENOENT'));
    await mounted.session.notifyEntry(vfs.root, Buffer.from('not there'));
  });

  test('what fails in the Vfs becomes an errno and nothing else', async () => {
    vfs.statfs = () => Promise.reject(new TypeError('a mistake'));
    await assert.rejects(python('os.statvfs(sys.argv[1])', at('a')), /Errno 5/);
    vfs.statfs = () => {
      throw new Error('thrown at once');
    };
    await assert.rejects(python('os.statvfs(sys.argv[1])', at('a')), /Errno 5/);
    await assert.rejects(python('os.statvfs(sys.argv[1])', at('a')), /Errno 5/);
    await fs.stat(at('a'));
    const logged = mounted.lines.filter((line) => line.startsWith('error unexpected exception'));
    assert.deepEqual(logged.length, 2);
  });
});

suite('counts', { timeout: 300_000 }, () => {
  test('every lookup is forgotten, every handle released, and unmounting flushes', async () => {
    const vfs = new MemoryVfs();
    const mounted = mountVfs(vfs);
    try {
      for (let i = 0; i < 20; i++) await fs.writeFile(join(mounted.directory, `f${i}`), 'x');
      await fs.readdir(mounted.directory, { withFileTypes: true });
      await run('ls', ['-l', mounted.directory]);
      for (let i = 0; i < 20; i++) await fs.unlink(join(mounted.directory, `f${i}`));
      await eventually(() => vfs.handles.size === 0 && vfs.lookups.size === 0);
    } finally {
      await mounted.unmount();
    }
    assert.equal(await mounted.session.stopped, 'unmounted');
    assert.equal(vfs.flushedAll, 1);
  });

  test('a directory below the root is node 1, and the real inode 1 is not to be had', async () => {
    const vfs = new MemoryVfs(40n);
    const root = vfs.nodes.get(40n);
    assert(root);
    vfs.nodes.set(1n, { ...root, attr: { ...root.attr, ino: 1n } });
    root.attr.parent = 1n;
    root.children.set('outside', 1n);
    const mounted = mountVfs(vfs);
    try {
      await fs.writeFile(join(mounted.directory, 'f'), 'x');
      assert.equal((await fs.stat(mounted.directory)).ino, 1);
      assert.equal((await fs.stat(join(mounted.directory, 'f'))).ino, 41);
      await assert.rejects(fs.stat(join(mounted.directory, 'outside')), code('EIO'));
      assert.deepEqual((await fs.readdir(mounted.directory)).sort(), ['f', 'outside']);
    } finally {
      await mounted.unmount();
    }
  });

  test('a session that stops reading answers what it has and leaves the mount to the next', async () => {
    const vfs = new MemoryVfs();
    const states: NegotiatedState[] = [];
    const mounted = mountVfs(vfs, 'allow_other', { onNegotiated: (state) => states.push(state) });
    try {
      await fs.writeFile(join(mounted.directory, 'f'), 'kept');
      await mounted.session.stopReading();
      assert.equal(await mounted.session.stopped, 'stopped');
      assert.equal(states.length, 1);
      const [predecessor] = states;
      assert(predecessor);
      // Plain data, as it will be kept.
      const kept = JSON.parse(JSON.stringify(predecessor)) as NegotiatedState;
      const reading = fs.readFile(join(mounted.directory, 'f'), 'utf8');
      const { descriptor } = mounted;
      const next = startSession({
        descriptor,
        vfs,
        log: quiet([]),
        connectionId: 7n,
        trackRequests: true,
        predecessor: kept,
      });
      assert.equal(await reading, 'kept');
      await fs.writeFile(join(mounted.directory, 'g'), '');
      assert.equal(vfs.lastCaller?.request?.mount, 7n);
      assert.equal(vfs.lastCaller?.request?.resent, false);
      await takeAway(mounted.directory);
      assert.equal(await next.stopped, 'unmounted');
    } finally {
      await mounted.unmount();
    }
  });
});
