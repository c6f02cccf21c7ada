// What a program's calls cost in flights of the metadata: nothing is asked beside the operation itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller, Ino } from '../../../src/base/words.ts';
import { openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { ROOT } from '../../../src/filesystem/meta/types.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import type { Opened } from '../../../src/filesystem/vfs/vfs.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { Privileges } from '../../../src/fuse/operations/privileges.ts';
import { makeTemp } from '../../harness/temp.ts';
import { CountingEngine } from '../meta/flights.ts';
import { quiet, TestVolume } from '../meta/volume.ts';
import { MemoryPages } from './doubles.ts';

const temp = makeTemp();
const O_RDWR = 2;
const user: Caller = { uid: 1000, gid: 1000, pid: 1, umask: 0o022 };
const name = (text: string): Buffer => Buffer.from(text);
const DATA = Buffer.alloc(4096, 1);

/** A program without CAP_FSETID, as the kernel hands its calls on. */
class Program {
  readonly vfs: VolumeVfs;
  readonly #privileges: Privileges;
  ino = 0n;
  #handle = 0n;

  constructor(vfs: VolumeVfs) {
    this.vfs = vfs;
    this.#privileges = new Privileges(vfs);
  }

  async create(text: string): Promise<void> {
    const [{ attr }, opened] = await this.vfs.create(user, ROOT, name(text), 0o644, O_RDWR);
    this.ino = attr.ino;
    this.#opened(opened);
  }

  async open(): Promise<void> {
    this.#opened(await this.vfs.open(user, this.ino, O_RDWR));
  }

  #opened(opened: Opened): void {
    this.#privileges.opened(this.ino, opened);
    this.#handle = opened.handle;
  }

  /** Takes set-id bits away, but nobody has to ask about a file that was just opened. */
  async write(): Promise<void> {
    await this.vfs.write(user, this.ino, this.#handle, 0n, DATA, true);
    await this.#privileges.lose(user, this.ino, true);
  }

  fsync(): Promise<void> {
    return this.vfs.fsync(user, this.ino, this.#handle);
  }

  async close(): Promise<void> {
    await this.vfs.flush(user, this.ino, this.#handle, 5n);
    await this.vfs.release(user, this.ino, this.#handle, 5n);
  }

  async links(text: string): Promise<number> {
    return (await this.vfs.lookup(user, ROOT, name(text))).attr.nlink;
  }

  async list(): Promise<Map<string, number | undefined>> {
    const handle = await this.vfs.opendir(user, ROOT);
    const found = new Map<string, number | undefined>();
    await this.vfs.readdir(user, ROOT, handle, 0n, true, (one) => {
      found.set(one.name.toString(), one.entry?.attr.nlink);
      return true;
    });
    return found;
  }
}

/** In this order. Link counts leave out what lies in the trash. */
const calls: readonly (readonly [what: string, flights: number, call: (program: Program) => Promise<unknown>])[] = [
  ['create', 2, (program) => program.create('f')],
  ['write', 0, (program) => program.write()],
  ['close', 2, (program) => program.close()],
  ['lookup', 1, ({ vfs }) => vfs.lookup(user, ROOT, name('f'))],
  ['open', 1, (program) => program.open()],
  ['write again', 0, (program) => program.write()],
  ['fsync', 2, (program) => program.fsync()],
  ['close, unchanged', 0, (program) => program.close()],
  ['rename', 2, ({ vfs }) => vfs.rename(user, ROOT, name('f'), ROOT, name('g'), 0)],
  ['create another', 2, (program) => program.create('h')],
  ['close, empty', 0, (program) => program.close()],
  ['rename over', 2, ({ vfs }) => vfs.rename(user, ROOT, name('h'), ROOT, name('g'), 0)],
  ['link', 2, ({ vfs, ino }) => vfs.link(user, ino, ROOT, name('l'))],
  ['lookup, two names', 1, async (program) => assert.equal(await program.links('l'), 2)],
  ['chmod, two names', 2, ({ vfs, ino }) => vfs.setattr(user, ino, { mode: 0o600 }, undefined)],
  ['unlink, two names', 2, ({ vfs }) => vfs.unlink(user, ROOT, name('l'))],
  ['lookup, one name in the trash', 1, async (program) => assert.equal(await program.links('g'), 1)],
  ['opendir, readdirplus', 2, async (program) => assert.equal((await program.list()).get('g'), 1)],
  ['unlink', 2, ({ vfs }) => vfs.unlink(user, ROOT, name('g'))],
  ['mkdir', 2, ({ vfs }) => vfs.mkdir(user, ROOT, name('d'), 0o755)],
  ['rmdir', 2, ({ vfs }) => vfs.rmdir(user, ROOT, name('d'))],
];

async function setUp() {
  const volume = await TestVolume.make(temp, { trashDays: 1 });
  const engine = new CountingEngine(await openEngine(volume.url));
  const removeSlice = async (): Promise<void> => undefined;
  const meta = await openMeta({ engine, log: quiet, session: { mountPoint: '/mnt' }, removeSlice });
  const vfs = new VolumeVfs({ meta, pages: new MemoryPages(1 << 22), root: ROOT, log: quiet });
  const close = async (): Promise<void> => {
    vfs.stop();
    await meta.close();
  };
  return { engine, meta, vfs, close };
}

test('calls of a program take the flights of their operations and no more', async () => {
  const { engine, vfs, close } = await setUp();
  const program = new Program(vfs);
  // Ids, and the trash of this hour.
  await program.create('first');
  await program.write();
  await program.close();
  await vfs.unlink(user, ROOT, name('first'));
  const found: [string, number][] = [];
  for (const [what, , call] of calls) found.push([what, await engine.count(() => call(program))]);
  await close();
  assert.deepEqual(
    found,
    calls.map(([what, flights]) => [what, flights]),
  );
});

/** Changes of the directory `d` in the root, one after the other. */
const changes: Readonly<Record<string, (vfs: VolumeVfs, d: Ino) => Promise<unknown>>> = {
  create: (vfs, d) => vfs.create(user, d, name('a'), 0o644, O_RDWR),
  mkdir: (vfs, d) => vfs.mkdir(user, d, name('e'), 0o755),
  symlink: (vfs, d) => vfs.symlink(user, d, name('s'), name('x')),
  link: async (vfs, d) => vfs.link(user, (await vfs.lookup(user, d, name('a'))).attr.ino, d, name('l')),
  rename: (vfs, d) => vfs.rename(user, d, name('a'), d, name('b'), 0),
  'rename a directory out': (vfs, d) => vfs.rename(user, d, name('e'), ROOT, name('e'), 0),
  'rename a directory in': (vfs, d) => vfs.rename(user, ROOT, name('e'), d, name('e'), 0),
  exchange: (vfs, d) => vfs.rename(user, d, name('e'), d, name('b'), 2),
  unlink: (vfs, d) => vfs.unlink(user, d, name('l')),
  rmdir: (vfs, d) => vfs.rmdir(user, d, name('b')),
};

test('what a directory is like after an own change is known without a look, but not while others may be under way', async () => {
  const { engine, meta, vfs, close } = await setUp();
  const { ino } = (await vfs.mkdir(user, ROOT, name('d'), 0o777)).attr;
  // The first to be deleted in an hour makes the trash's directory.
  await vfs.symlink(user, ROOT, name('s'), name('x'));
  await vfs.unlink(user, ROOT, name('s'));
  for (const [what, change] of Object.entries(changes)) {
    await change(vfs, ino);
    const wanted = await meta.getattr(ino);
    const flights = await engine.count(async () => {
      const { attr, attrTimeout } = await vfs.getattr(user, ino, undefined);
      assert.deepEqual(attr, wanted, what);
      assert.ok(attrTimeout <= 1000);
    });
    assert.equal(flights, 0, what);
  }
  await Promise.all(['1', '2', '3'].map((text) => vfs.mkdir(user, ino, name(text), 0o755)));
  const looks = await engine.count(async () => {
    assert.deepEqual((await vfs.getattr(user, ino, undefined)).attr, await meta.getattr(ino));
  });
  assert.equal(looks, 2, 'one by the vfs, one by the test');
  await vfs.mkdir(user, ino, name('4'), 0o755);
  await vfs.setattr(user, ino, { mode: 0o700 }, undefined);
  assert.equal((await vfs.getattr(user, ino, undefined)).attr.mode, 0o700);
  await close();
});
