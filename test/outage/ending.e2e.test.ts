// Who wants to go while the store or the database is away: a mount that is taken away, a process that is killed. And what
// does not go: objects that a listing of yesterday does not show.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { formatVolume } from '../../src/filesystem/format.ts';
import { openFileSystem } from '../../src/filesystem/open.ts';
import { runOk, until } from '../harness/program.ts';
import { isListing } from '../harness/s3-proxy.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { caller, content, create } from './parts.ts';
import { ScaledVolume } from './scaled-volume.ts';

const outageNeeds = needs('root', 'fuse', 'openssl', 'python3', 'postgres', 'versitygw', 'the addon');

describe('an outage and the end of a mount or a process', outageNeeds, () => {
  test('a process that waits can be killed, and umount says what was lost', async (t) => {
    const volume = await ScaledVolume.make(makeTemp(t));
    await volume.mount();
    await runOk('sh', ['-c', `echo before > ${volume.mountPoint}/before`]);
    await volume.toStore.refuse();
    const file = `${volume.mountPoint}/during`;
    const writer = spawn(
      'sh',
      ['-c', `exec 3>${file}; echo data >&3; echo wrote; exec dd if=/dev/zero of=${file} bs=64k count=1 conv=fsync`],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    const gone = once(writer, 'exit');
    await until('the mount to say that it waits', () => volume.log.includes('store is away'));
    writer.kill('SIGKILL');
    await gone;
    const umounted = await volume.pageseal.run(['umount', volume.mountPoint]);
    assert.notEqual(umounted.code, 0);
    assert.match(umounted.stderr, /put .*ECONNREFUSED/);
    assert.match(volume.log, /data lost: a slice could not be written/);
    await volume.toStore.accept();
    await volume.check();
    await volume.mount();
    assert.equal(await runOk('cat', [`${volume.mountPoint}/before`]), 'before\n');
    await volume.umount();
  });

  test('umount ends while the database is away, and the volume is sound', async (t) => {
    const volume = await ScaledVolume.make(makeTemp(t));
    await volume.mount();
    await runOk('sh', ['-c', `echo before > ${volume.mountPoint}/before`]);
    await volume.toDatabase.refuse();
    const umounted = await volume.pageseal.run(['umount', volume.mountPoint]);
    assert.notEqual(umounted.code, 0);
    assert.match(umounted.stderr, /postgres:.* for \d+ s/);
    await volume.toDatabase.accept();
    await volume.mount();
    assert.equal(await runOk('cat', [`${volume.mountPoint}/before`]), 'before\n');
    await volume.umount();
  });

  test('gc goes by no stale listing', async (t) => {
    const volume = await ScaledVolume.make(makeTemp(t));
    await volume.mount();
    await runOk('sh', ['-c', `echo before > ${volume.mountPoint}/before; sync`]);
    volume.answers.remember();
    await volume.gc();
    await runOk('sh', ['-c', `echo after > ${volume.mountPoint}/after; rm ${volume.mountPoint}/before`]);
    volume.answers.inject({ kind: 'stale' }, isListing);
    await volume.gc('--delete');
    assert.ok((volume.answers.faults.get('stale') ?? 0) > 0, 'it was given one');
    volume.answers.heal();
    assert.equal(await runOk('cat', [`${volume.mountPoint}/after`]), 'after\n');
    await volume.umount();
    await volume.check();
  });
});

test('a database that another process keeps locked is waited for', async (t) => {
  const temp = makeTemp(t);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  const store = { storage: 'mem', bucket: 'locked' };
  await formatVolume({ metaUrl, name: 'locked', store, key: { kind: 'none' } });
  const { vfs, close } = await openFileSystem({ metaUrl, store });
  const file = await create({ vfs }, 'a');
  const other = new DatabaseSync(temp.at('meta.db'));
  other.exec('BEGIN IMMEDIATE');
  await vfs.write(caller, file.ino, file.handle, 0n, Buffer.from('abc'));
  const synced = vfs.fsync(caller, file.ino, file.handle);
  // Longer than the database itself waits: only then the mount does.
  await until('the mount to wait', () => vfs.away);
  other.exec('ROLLBACK');
  other.close();
  await synced;
  assert.equal((await content({ vfs }, file)).toString(), 'abc');
  await close();
});
