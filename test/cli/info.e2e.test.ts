// `pageseal info` of paths on mounts: finds the volume behind mounts of the command line, their binds and subdirectories, and
// behind what a keeper published; says clearly where there is none.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { CsiNode } from '../harness/csi-node.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const options = needs('root', 'fuse', 'openssl', 'the addon');

interface Shown {
  readonly path: string;
  readonly attr: { readonly ino: number };
  readonly slices: readonly { readonly objects: readonly string[] }[];
}

test('a path on a mount of the command line', options, async (t) => {
  const temp = makeTemp(t);
  const pageseal = new Pageseal(temp);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  await pageseal.format(metaUrl, 'shown', temp.at('objects'));
  const mountPoint = temp.at('mnt');
  await pageseal.mount(metaUrl, mountPoint);
  mkdirSync(`${mountPoint}/a/b`, { recursive: true });
  writeFileSync(`${mountPoint}/a/b/file`, 'some bytes');
  symlinkSync('a/b/file', `${mountPoint}/link`);
  const info = async (...args: string[]): Promise<Shown> =>
    JSON.parse(await pageseal.ok(['info', '--json', ...args])) as Shown;

  const inside = await info(metaUrl, 'a/b/file');
  assert.match(inside.slices[0]?.objects[0] ?? '', /^shown\/chunks\/0\/0\/\d+_0_10$/);
  for (const path of [`${mountPoint}/a/b/file`, `${mountPoint}/link`])
    assert.deepEqual(await info(path), { ...inside, path: '/a/b/file' });
  assert.equal((await info(mountPoint)).attr.ino, 1);
  assert.equal((await info('-i', metaUrl, String(inside.attr.ino))).attr.ino, inside.attr.ino);

  // What the mount has not added to the shared figures yet counts too.
  assert.match(await pageseal.ok(['status', metaUrl]), /\nused +16384 bytes, 4 inodes\n/);

  const bound = temp.folder('bound');
  await runOk('mount', ['--bind', `${mountPoint}/a`, bound]);
  assert.equal((await info(`${bound}/b/file`)).path, '/a/b/file');

  const sub = temp.at('sub');
  await pageseal.mount(metaUrl, sub, ['--subdir', 'a/b']);
  assert.deepEqual(await info(`${sub}/file`), { ...inside, path: '/a/b/file' });
});

test('a path that a keeper published', options, async (t) => {
  const temp = makeTemp(t);
  const csi = new CsiNode(temp);
  t.after(() => csi.stop());
  await csi.start();
  const key = await makeKey(temp, 2048, 'pkcs8');
  const volume = await csi.create('pvc-info', {
    'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8'),
  });
  const secrets = { 'rsa-key': readFileSync(key.file, 'utf8') };
  await csi.stage(volume, secrets);
  const published = await csi.publish(volume, 'pod', secrets);
  writeFileSync(`${published}/file`, 'some bytes');
  const shown = await new Pageseal(temp).ok(['info', `${published}/file`]);
  assert.match(shown, new RegExp(`: 10 bytes, slice .*\\n    ${volume.volumeContext['fs']}/chunks/`));
  await csi.unpublish(volume, 'pod');
  await csi.unstage(volume);
});

for (const [args, code, said] of [
  [['/proc/self'], 2, /not on a mount of Pageseal but on proc.*\nhint: .*META-URL/],
  [['/nowhere/at/all'], 4, /\/nowhere\/at\/all: ENOENT/],
  [['-i', 'sqlite3:///nowhere.db', 'x'], 2, /wanted a number/],
  [['sqlite3:///nowhere.db'], 2, /a path is missing/],
] as const)
  test(`info ${args.join(' ')} is refused`, async (t) => {
    const outcome = await new Pageseal(makeTemp(t)).run(['info', ...args]);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, said);
  });
