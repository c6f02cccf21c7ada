// Volumes whose worker does not answer, does not come back, or has lost its mounts: the keeper goes on, and the volume can
// be taken away or started anew.
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setLogLevel } from '../../src/base/log.ts';
import { KeeperMounts } from '../../src/keeper/keeper.ts';
import { topMount } from '../../src/keeper/mountinfo.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { run, until } from '../harness/program.ts';
import { Temp } from '../harness/temp.ts';
import { isRunning, KeeperNode } from './node.ts';

const SHORT_MS = 300;

describe('keeper with dead workers', () => {
  const temp = new Temp();
  const options = {
    runDirectory: temp.at('run'),
    kubeletDirectory: temp.at('kubelet'),
    program: { file: pagesealProgram, args: [] },
    endDeadlineMs: SHORT_MS,
    recoveryDeadlineMs: 1,
  };
  let node: KeeperNode;
  let keeper: KeeperMounts;
  before(async () => {
    setLogLevel('error');
    node = await KeeperNode.make(temp);
    await node.stop();
    keeper = new KeeperMounts(options);
    await keeper.start();
  });
  after(async () => {
    await keeper?.close();
    node?.keeper.close();
    await temp.remove();
  });

  const publish = async (name: string): Promise<{ target: string; pid: number }> => {
    await keeper.mount(node.mountRequest());
    const target = node.target(name);
    await keeper.bind({ volumeId: 'v1', targetPath: target, readOnly: false });
    return { target, pid: keeper.list()[0]?.workerPid ?? 0 };
  };
  const takeAway = async (target: string): Promise<void> => {
    await keeper.unbind({ volumeId: 'v1', targetPath: target });
    await keeper.unmount(node.mountRequest());
    assert.deepEqual(temp.mounts(), []);
  };

  test('one that does not answer is taken away in the end, and holds up nothing else', async () => {
    const { target, pid } = await publish('stuck');
    process.kill(pid, 'SIGSTOP');
    // More than libuv has threads: all of them waiting would stop the keeper's own files.
    const asked = Array.from({ length: 8 }, () => keeper.stat({ volumeId: 'v1', path: target }));
    for (const stats of await Promise.all(asked)) assert.equal(stats.condition, 'the mount does not answer');
    await takeAway(target);
    assert.ok(!isRunning(pid));
  });

  test('one that does not come back is started anew by the next mount', async () => {
    const { target, pid } = await publish('lost');
    const other = node.target('other');
    await keeper.bind({ volumeId: 'v1', targetPath: other, readOnly: false });
    const device = topMount(target)?.device;
    renameSync(temp.at('meta.db'), temp.at('away.db'));
    process.kill(pid, 'SIGKILL');
    await until('it is given up', () => keeper.list()[0]?.targets.length === 0);
    renameSync(temp.at('away.db'), temp.at('meta.db'));
    const stats = await keeper.stat({ volumeId: 'v1', path: target });
    assert.equal(stats.condition, 'its worker is lost');
    await publish('lost');
    assert.deepEqual(keeper.list()[0]?.targets, [target]);
    assert.notEqual(topMount(target)?.device, device);
    assert.equal((await keeper.stat({ volumeId: 'v1', path: target })).abnormal, false);
    await keeper.unbind({ volumeId: 'v1', targetPath: other });
    await takeAway(target);
  });

  test('one whose mounts somebody took away is started anew', async () => {
    const { target } = await publish('ended');
    for (const path of temp.mounts().reverse()) await run('umount', ['-l', path]);
    await until('its serving ends', () => keeper.list()[0]?.targets.length === 0);
    await publish('ended');
    assert.equal((await keeper.stat({ volumeId: 'v1', path: target })).abnormal, false);
    await takeAway(target);
  });

  test('one whose loop stands still is replaced', async () => {
    const watching = new KeeperMounts({ ...options, recoveryDeadlineMs: 60_000, hangDeadlineMs: 2000 });
    const targetPath = node.target('hanging');
    await watching.mount(node.mountRequest());
    await watching.bind({ volumeId: 'v1', targetPath, readOnly: false });
    const pid = watching.list()[0]?.workerPid ?? 0;
    process.kill(pid, 'SIGSTOP');
    await until('another serves', async () => {
      return (
        watching.list()[0]?.workerPid !== pid && !(await watching.stat({ volumeId: 'v1', path: targetPath })).abnormal
      );
    });
    assert.ok(!isRunning(pid));
    await watching.unbind({ volumeId: 'v1', targetPath });
    await watching.unmount(node.mountRequest());
  });

  test('no bind stays when another staging path is named', async () => {
    await keeper.mount(node.mountRequest());
    await keeper.unmount(node.mountRequest({ stagingPath: temp.at('kubelet/staging/none') }));
    assert.deepEqual(temp.mounts(), []);
  });
});
