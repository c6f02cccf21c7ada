// The rules of POSIX for names, owners, modes and times, judged by pjdfstest: first on the local disk as control, then on
// mounts of both clients. A case counts unless the control fails it too.
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { counts, runPart, runPjdfstest, type Verdicts, withVerdict } from './pjdfstest.ts';

/** How volumes are made; the first is judged on the original client's mount too. */
const kinds = { plain: [], 'without trash': ['--trash-days', '0'], 'with access lists': ['--enable-acl'] };

const wanted = needs('root', 'fuse', 'juicefs', 'pjdfstest', 'the addon');

test('pjdfstest finds nothing that the original client does better', wanted, async (t) => {
  const temp = makeTemp(t);
  chmodSync(temp.path, 0o755); // cases act as other users
  const control = await onDisk(temp);
  t.diagnostic(`local disk: ${counts(control)}`);
  assert.ok(withVerdict(control, 'ok').length > 300, 'the suite works here');

  const theirs = await onTheirs(temp);
  t.diagnostic(`original client: ${counts(theirs)}`);
  for (const [kind, flags] of Object.entries(kinds)) {
    const ours = await onOurs(temp, kind, flags);
    t.diagnostic(`ours, ${kind}: ${counts(ours)}`);
    assert.deepEqual(failures(ours, control), [], `cases that fail on a volume ${kind}`);
    assert.ok(failures(ours, control).length < failures(theirs, control).length, 'fewer than the original client');
  }
});

const failures = (verdicts: Verdicts, control: Verdicts): string[] =>
  withVerdict(verdicts, 'FAILED').filter((name) => control.get(name) !== 'FAILED');

/** The disk itself cannot be made read-only; the cases for that run on a file system in memory. */
async function onDisk(temp: Temp): Promise<Verdicts> {
  const most = await runPart(temp, temp.folder('disk'), { remount: false });
  const memory = temp.folder('memory');
  await runOk('mount', ['-t', 'tmpfs', 'tmpfs', memory]);
  const rest = await runPart(temp, memory, { only: 'erofs', remount: true });
  await runOk('umount', [memory]);
  return new Map([...most, ...rest]);
}

async function onTheirs(temp: Temp): Promise<Verdicts> {
  const place = await newPlace(temp, 'theirs');
  const { metaUrl } = place;
  const mountPoint = temp.folder('theirs');
  const juicefs = new Juicefs(temp);
  await juicefs.formatAt(place, 'theirs');
  await juicefs.mount(metaUrl, mountPoint);
  const verdicts = await runPjdfstest(temp, mountPoint);
  await juicefs.umount(mountPoint);
  return verdicts;
}

async function onOurs(temp: Temp, kind: string, flags: readonly string[]): Promise<Verdicts> {
  const name = kind.replaceAll(' ', '-');
  const place = await newPlace(temp, name);
  const { metaUrl } = place;
  // A short one: paths of sockets end at 108 bytes, and the test's own folder may lie deep.
  const mountPoint = temp.folder('ours');
  const pageseal = new Pageseal(temp);
  await pageseal.formatAt(place, name, flags);
  await pageseal.mount(metaUrl, mountPoint, ['-o', 'suid,dev']);
  const verdicts = await runPjdfstest(temp, mountPoint);
  await pageseal.umount(mountPoint);
  assert.deepEqual(await new Juicefs(temp).fsckTree(metaUrl), [], 'the original client finds the tree in order');
  return verdicts;
}
