// A machine that drops off the network with a volume mounted: the others get its locks when it has missed its heartbeats,
// and when it is back it is told what it lost, and goes on without a new mount.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { Locker } from '../interop/locker.ts';
import { RemoteVolume } from './volume.ts';

const wanted = needs(...interopNeeds, 'postgres', 'versitygw', 'network namespaces');
/** Five missed ones end a session. */
const HEARTBEAT = ['--heartbeat', '1s'];
const NO_LIFETIMES = ['--attr-cache', '0', '--entry-cache', '0', '--dir-entry-cache', '0'];

test('a machine that is gone keeps no lock, and is told so when it is back', wanted, async (t) => {
  const temp = makeTemp(t);
  const volume = await RemoteVolume.make(temp, { machines: 2, mountFlags: [...HEARTBEAT, ...NO_LIFETIMES] });
  await volume.format(['--trash-days', '0']);
  await volume.mountAll();
  const [lost, other] = volume.mounts;
  assert.ok(lost !== undefined && other !== undefined);
  writeFileSync(join(lost.top, 'locked'), 'by nobody');
  const [mine, theirs] = [await Locker.start(temp), await Locker.start(temp)];
  assert.equal(await mine.tell(`open file ${join(lost.top, 'locked')} r+`), 'ok');
  assert.equal(await mine.tell('flock file ex'), 'ok');
  assert.equal(await mine.tell(`open gone ${join(lost.top, 'removed')} r+`), 'ok');
  assert.equal(await mine.tell('write gone 0 something'), 'ok');
  rmSync(join(lost.top, 'removed'));
  assert.equal(await theirs.tell(`open file ${join(other.top, 'locked')} r+`), 'ok');
  assert.match(await theirs.tell('flock file ex nb'), /EAGAIN|EWOULDBLOCK/);
  assert.equal(await theirs.tell('wait flock file ex'), 'waiting');

  await volume.network.unplug(lost.machine);
  assert.match(await theirs.hear(), /^had/);
  assert.equal(await theirs.tell('write file 0 their'), 'ok');
  assert.equal(await theirs.tell('close file'), 'ok');

  await volume.network.plug(lost.machine);
  // Taken as long as the loss is not known, but never committed.
  assert.match(await mine.tell('write file 0 mine'), /ok|EIO/);
  assert.equal(await mine.tell('fsync file'), 'EIO', 'its lock is not its own any more');
  assert.equal(await mine.tell('write file 0 mine'), 'EIO');
  assert.match(await mine.tell('close file'), /ok|EIO/);
  assert.equal(await mine.tell(`open file ${join(lost.top, 'locked')} r+`), 'ok');
  assert.equal(await mine.tell('flock file ex'), 'ok');
  assert.equal(await mine.tell('read file 0 9'), 'theirbody');
  // It had no name and only this session to keep it.
  assert.match(await mine.tell('close gone'), /ESTALE|ok/);
  for (const locker of [mine, theirs]) await locker.end();
  await volume.umountAll();
  await volume.check();
});
