// The keeper over its socket: mounting, proving, binding, taking away, as a node plugin asks for it.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { topMount } from '../../src/keeper/mountinfo.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal, pagesealProgram } from '../harness/pageseal.ts';
import { run } from '../harness/program.ts';
import { Temp } from '../harness/temp.ts';
import { isRunning, KeeperNode, PASSPHRASE } from './node.ts';

describe('keeper', () => {
  const temp = new Temp();
  let node: KeeperNode;
  before(async () => {
    node = await KeeperNode.make(temp);
  });
  after(async () => {
    node?.keeper.close();
    await node?.stop();
    await temp.remove();
  });

  test('only root can reach it, and it is the only one of its directory', async () => {
    assert.equal(statSync(temp.at('run')).mode & 0o777, 0o700);
    assert.equal(statSync(temp.at('run/keeper.sock')).mode & 0o777, 0o600);
    const args = ['keeper', '--run-directory', temp.at('run'), '--kubelet-directory', temp.at('kubelet')];
    const second = await run(pagesealProgram, args, { env: temp.env });
    assert.equal(second.code, 6);
    assert.match(second.stderr, /another keeper runs in/);
  });

  test('a start that fails says why and leaves nothing mounted', async () => {
    const mount = (change: object): Promise<unknown> => node.keeper.mount(node.mountRequest(change));
    const wrong = node.connection({ passphrase: Buffer.from('wrong-canary') });
    await assert.rejects(mount({ connection: wrong }), { code: 'wrong-passphrase' });
    const workers = node.log.match(/worker started/g)?.length;
    await assert.rejects(mount({ connection: wrong }), { code: 'wrong-passphrase' });
    assert.equal(node.log.match(/worker started/g)?.length, workers, 'the second try cost no worker');
    const other = await makeKey(temp, 2048, 'pkcs8');
    const wrongKey = node.connection({ rsaKey: readFileSync(other.file), hasPassphrase: false });
    await assert.rejects(mount({ connection: wrongKey }), { code: 'wrong-key' });
    const elsewhere = node.connection({ metaUrl: `sqlite3://${temp.at('none.db')}` });
    await assert.rejects(mount({ connection: elsewhere }), { code: 'metadata-unavailable' });
    const uuid = '00000000-0000-4000-8000-000000000000';
    await assert.rejects(mount({ fileSystemUuid: uuid }), { code: 'permission-denied' });
    await assert.rejects(mount({ options: ['no-such-option'] }), { code: 'bad-input' });
    assert.deepEqual(temp.mounts(), []);
    assert.deepEqual(await node.keeper.list(), []);
  });

  test('a volume is mounted, bound, read and taken away; each call may be repeated', async () => {
    const request = node.mountRequest();
    const { fileSystemUuid } = await node.keeper.mount(request);
    assert.deepEqual(await node.keeper.mount(request), { fileSystemUuid, fileSystemName: 'vol' });
    const bind = { volumeId: 'v1', targetPath: node.target('a'), readOnly: false };
    assert.equal((await node.keeper.bind(bind)).existed, false);
    const counted = await run(pagesealProgram, ['stats', node.target('a'), '--json', '-n', '1'], { env: temp.env });
    assert.ok(Number((JSON.parse(counted.stdout) as { memoryBytes: number }).memoryBytes) > 0, counted.stderr);
    assert.equal((await node.keeper.bind(bind)).existed, true);
    await assert.rejects(node.keeper.bind({ ...bind, readOnly: true }), { code: 'conflict' });
    const readOnly = { ...bind, targetPath: node.target('ro'), readOnly: true };
    await node.keeper.bind(readOnly);
    writeFileSync(`${bind.targetPath}/file`, 'text');
    assert.equal(readFileSync(`${readOnly.targetPath}/file`, 'utf8'), 'text');
    assert.throws(() => writeFileSync(`${readOnly.targetPath}/other`, ''), { code: 'EROFS' });
    const stats = await node.keeper.stat({ volumeId: 'v1', path: bind.targetPath });
    assert.equal(stats.abnormal, false);
    assert.ok(stats.totalBytes > 0n && stats.usedInodes > 0n);
    await assert.rejects(node.keeper.unmount(request), { code: 'failed-precondition' });
    for (const target of [bind, bind, readOnly]) await node.keeper.unbind(target);
    assert.deepEqual(readdirSync(temp.at('kubelet/pods')), []);
    const { pid } = await node.worker();
    for (let i = 0; i < 2; i++) await node.keeper.unmount(request);
    assert.ok(!isRunning(pid));
    assert.deepEqual(temp.mounts(), []);
    assert.deepEqual(readdirSync(temp.at('run/mounts')), []);
  });

  test('below a target lies an unwritable empty folder', async () => {
    const target = await node.publish('floor');
    const top = topMount(target);
    assert.equal(top?.type, 'fuse.pageseal');
    await run('umount', [target]);
    assert.equal(topMount(target)?.source, 'pageseal-empty');
    assert.deepEqual(readdirSync(target), []);
    assert.throws(() => writeFileSync(`${target}/on-the-disk`, 'x'), { code: 'EROFS' });
    await node.keeper.unbind({ volumeId: 'v1', targetPath: target });
    assert.ok(!existsSync(target));
    await node.keeper.unmount(node.mountRequest());
  });

  test('a Secret is proven against what is mounted', async () => {
    await node.keeper.mount(node.mountRequest());
    const prove = (connection: object): Promise<void> =>
      node.keeper.prove({ volumeId: 'v1', connection: node.connection(connection) });
    await prove({});
    await prove({ bucket: `${temp.at('bucket')}/` }); // another form of the same
    await assert.rejects(prove({ passphrase: Buffer.from('no') }), { code: 'wrong-passphrase' });
    const other = await makeKey(temp, 2048, 'pkcs8');
    const key = { rsaKey: readFileSync(other.file), hasPassphrase: false };
    await assert.rejects(prove(key), { code: 'wrong-key' });
    await assert.rejects(node.keeper.prove({ volumeId: 'v2', connection: node.connection() }), {
      code: 'failed-precondition',
    });
    await node.keeper.unmount(node.mountRequest());
  });

  test('paths outside, through links or of others are refused', async () => {
    await node.keeper.mount(node.mountRequest());
    const bind = (targetPath: string): Promise<unknown> =>
      node.keeper.bind({ volumeId: 'v1', targetPath, readOnly: false });
    symlinkSync(temp.path, temp.at('kubelet/pods/link'));
    for (const path of [temp.at('elsewhere'), `${temp.at('kubelet')}/../x`, temp.at('kubelet/pods/link/x'), 'pods/x'])
      await assert.rejects(bind(path), { code: 'bad-input' }, path);
    await assert.rejects(bind(temp.at('kubelet/missing/x')), { code: 'failed-precondition' });
    mkdirSync(node.target('foreign'));
    await run('mount', ['-t', 'tmpfs', 'foreign', node.target('foreign')]);
    await assert.rejects(bind(node.target('foreign')), { code: 'failed-precondition' });
    const unbind = { volumeId: 'v1', targetPath: node.target('foreign') };
    await assert.rejects(node.keeper.unbind(unbind), { code: 'failed-precondition' });
    await run('umount', [node.target('foreign')]);
    await node.keeper.unmount(node.mountRequest());
  });

  test('what lies below the mounts of kubelet is no place for metadata', async () => {
    mkdirSync(temp.at('kubelet/db'));
    await run('cp', [temp.at('meta.db'), temp.at('kubelet/db/meta.db')]);
    const connection = node.connection({ metaUrl: `sqlite3://${temp.at('kubelet/db/meta.db')}` });
    await assert.rejects(node.keeper.mount(node.mountRequest({ connection })), { code: 'refused' });
  });

  test('the worker has no rights, and no secret is where others could see it', async () => {
    await node.publish('secret');
    const { pid } = await node.worker();
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.match(status, new RegExp(`^${name}:\\t0{16}$`, 'm'));
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m);
    for (const process of [pid, node.pid])
      for (const file of ['cmdline', 'environ'])
        assert.ok(!readFileSync(`/proc/${process}/${file}`).includes('canary'), `${file} of ${process}`);
    assert.ok(!readFileSync(`/proc/${pid}/environ`).includes('NODE_OPTIONS'));
    // Not dumpable: its files in /proc are root's and nobody else reads its memory or descriptors.
    const peek = await run('setpriv', ['--reuid', '65534', '--clear-groups', 'ls', `/proc/${pid}/fd`]);
    assert.notEqual(peek.code, 0);
    assert.ok(!node.log.includes(PASSPHRASE) && !node.log.includes('wrong-canary'));
    assert.ok(!node.log.includes('PRIVATE KEY'));
    await node.keeper.unbind({ volumeId: 'v1', targetPath: node.target('secret') });
    await node.keeper.unmount(node.mountRequest());
  });

  test('the worker of a local database is its owner, and hides even from him', async () => {
    const [uid, own] = [12_345, temp.folder('own')];
    chmodSync(temp.path, 0o711); // the owner must reach his files
    const metaUrl = `sqlite3://${own}/meta.db`;
    const flags = ['--rsa-key', node.key.file];
    await new Pageseal(temp, PASSPHRASE).format(metaUrl, 'own-volume', `${temp.folder('own/bucket')}/`, flags);
    await run('chown', ['-R', `${uid}:${uid}`, own]);
    const request = node.mountRequest({ volumeId: 'own', connection: node.connection({ metaUrl }) });
    await node.keeper.mount(request);
    const target = node.target('own');
    await node.keeper.bind({ volumeId: 'own', targetPath: target, readOnly: false });
    writeFileSync(`${target}/file`, 'text');
    const { pid } = await node.worker();
    assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}`, 'm'));
    assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Groups:\t\s*$/m);
    assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim(), '500');
    for (const path of [`/proc/${pid}/fd`, `/proc/${pid}/fd/4`, `/proc/${pid}/environ`, `/proc/${pid}/mem`]) {
      const peek = await run('setpriv', [
        '--reuid',
        String(uid),
        '--regid',
        String(uid),
        '--clear-groups',
        'head',
        path,
      ]);
      assert.match(peek.stderr, /Permission denied/, path);
    }
    await node.keeper.unbind({ volumeId: 'own', targetPath: target });
    await node.keeper.unmount(request);
    for (const name of readdirSync(own)) assert.equal(statSync(`${own}/${name}`).uid, uid, name);
  });

  test('SIGTERM flushes and takes everything away', async () => {
    const target = await node.publish('term');
    writeFileSync(`${target}/last`, 'words');
    const { pid } = await node.worker();
    await node.stop();
    assert.ok(!isRunning(pid));
    assert.deepEqual(temp.mounts(), []);
    await node.start();
    assert.equal(readFileSync(`${await node.publish('term')}/last`, 'utf8'), 'words');
  });
});
