// A volume that the original client formatted, a tree that our operations made in it: the original client finds nothing
// to mend, and its mount shows the same tree.
import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { log } from '../../../src/base/log.ts';
import { type OpenedMeta, openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { type Attr, NodeType } from '../../../src/filesystem/meta/types.ts';
import { openSqlite } from '../../../src/filesystem/sql/sqlite.ts';
import { Juicefs } from '../../harness/juicefs.ts';
import { Temp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';
import { violations } from '../../model/invariants.ts';
import { bytes, listing, root, user } from './tree-volume.ts';

const HOUR = 0x7fffffff10000001n;

async function fill(meta: OpenedMeta): Promise<void> {
  const directory = async (parent: bigint, name: string, mode = 0o755) =>
    (await meta.mkdir(user(3, 4), parent, bytes(name), mode)).ino;
  const file = async (parent: bigint, name: string) =>
    (await meta.create(user(3, 4), parent, bytes(name), 0o640, true)).attr.ino;
  const [a, b, c] = [await directory(1n, 'a'), await directory(1n, 'b', 0o777), await directory(1n, 'c')];
  const [inner, deep] = [await directory(a, 'inner'), await directory(b, 'deep')];
  for (let i = 0; i < 30; i += 1) await file(inner, `f${i}`);
  const linked = await file(a, 'linked');
  await meta.link(root, linked, b, bytes('again'));
  await meta.link(root, linked, deep, bytes('and again'));
  await meta.symlink(root, deep, bytes('to'), bytes('../../a/linked'));
  await meta.mknod(root, deep, bytes('fifo'), NodeType.fifo, 0o600, 0);
  await meta.mknod(root, deep, bytes('null'), NodeType.char, 0o666, 0x103);
  await meta.setattr(root, linked, { mode: 0o4711, uid: 9, gid: 9, mtime: 1_600_000_000_123_456_789n });
  await meta.setxattr(root, linked, 'user.kept', bytes('value'), 0);
  await meta.rename(root, a, bytes('inner'), b, bytes('moved'), 0);
  await meta.rename(root, b, bytes('deep'), a, bytes('linked'), 2);
  for (let i = 0; i < 5; i += 1) await meta.unlink(root, inner, bytes(`f${i}`));
  await meta.rename(root, inner, bytes('f5'), inner, bytes('f6'), 0);
  await meta.unlink(root, b, bytes('again'));
  await directory(c, 'gone');
  await meta.rmdir(root, c, bytes('gone'));
  await meta.rmdir(root, 1n, bytes('c'));
}

/** What a mount shows of a node, in the words of stat. */
const seen = (attr: Pick<Attr, 'ino' | 'mode' | 'uid' | 'gid' | 'nlink' | 'length' | 'mtime'>): string =>
  [attr.ino, attr.mode.toString(8), attr.uid, attr.gid, attr.nlink, attr.length, attr.mtime].join(' ');

function mounted(path: string, at = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(path)) {
    if (at === '' && name.startsWith('.')) continue;
    const stat = lstatSync(join(path, name), { bigint: true });
    const attr = { ino: stat.ino, mode: Number(stat.mode & 0o7777n), uid: Number(stat.uid), gid: Number(stat.gid) };
    found.set(`${at}/${name}`, seen({ ...attr, nlink: Number(stat.nlink), length: stat.size, mtime: stat.mtimeNs }));
    if (stat.isDirectory())
      for (const [below, text] of mounted(join(path, name), `${at}/${name}`)) found.set(below, text);
  }
  return found;
}

for (const trashDays of [0, 1])
  test(`the original client agrees, trash of ${trashDays} days`, needs('juicefs', 'root', 'fuse'), async () => {
    const temp = new Temp();
    try {
      const juicefs = new Juicefs(temp);
      const file = temp.at('meta.db');
      const url = `sqlite3://${file}`;
      await juicefs.format(url, 'tree', `${temp.folder('objects')}/`, ['--trash-days', `${trashDays}`]);
      const meta = await openMeta({
        engine: await openSqlite({ file, tablePrefix: '' }),
        log,
        removeSlice: async () => undefined,
        backgroundJobs: false,
      });
      await fill(meta);
      const ours = await listing(meta as never);
      await meta.close();
      assert.deepEqual(violations(file), []);

      const check = ['fsck', url, '--path', '/', '--recursive', '--sync-dir-stat'];
      // A folder has no storage tiers, and the original client says so each time.
      assert.doesNotMatch(await juicefs.ok(check), /<(ERROR|FATAL)>|<WARNING>(?!: Set storage tier)/);
      const point = temp.at('mnt');
      await juicefs.mount(url, point);
      try {
        assert.deepEqual(mounted(point), new Map([...ours].map(([path, attr]) => [path, seen(attr)])));
        assert.equal(readlinkSync(join(point, 'a/linked/to')), '../../a/linked');
        const hours = trashDays === 0 ? [] : readdirSync(join(point, '.trash'));
        assert.equal(hours.length, trashDays);
        for (const hour of hours) assert.equal(lstatSync(join(point, '.trash', hour), { bigint: true }).ino, HOUR);
      } finally {
        await juicefs.umount(point);
      }
      assert.deepEqual(violations(file), [], 'and after its mount');
    } finally {
      await temp.remove();
    }
  });
