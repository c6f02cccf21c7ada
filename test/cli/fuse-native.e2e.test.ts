// The second transport from the command line: serves its user through a mount of its own, and refuses what it cannot give.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { makeKey } from '../harness/keys.ts';
import { Pageseal, pagesealProgram } from '../harness/pageseal.ts';
import { ended, runOk, until } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const prerequisites = needs('root', 'fuse', 'openssl', 'the addon');
const options = prerequisites.skip || process.arch === 'x64' ? prerequisites : { skip: 'the package is built for x64' };
const TRANSPORT = ['-o', 'transport=fuse-native'];

async function formatted(temp: Temp): Promise<{ pageseal: Pageseal; metaUrl: string; key: string[] }> {
  const { file } = await makeKey(temp, 2048, 'pkcs8', 'of the test');
  const pageseal = new Pageseal(temp, 'of the test');
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  await pageseal.format(metaUrl, 'native', temp.at('objects'), ['--compress', 'zstd', '--rsa-key', file]);
  return { pageseal, metaUrl, key: ['--rsa-key', file] };
}

const mountOf = (path: string): string | undefined =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[4] === path);

async function serve(temp: Temp, args: readonly string[], mountPoint: string): Promise<ChildProcess> {
  const env = { ...temp.env, JFS_RSA_PASSPHRASE: 'of the test' };
  const child = spawn(pagesealProgram, ['mount', ...args], { env, stdio: 'ignore' });
  await until(`${mountPoint} is mounted`, () => {
    assert.equal(child.exitCode, null, 'the mount command ended');
    return mountOf(mountPoint) !== undefined;
  });
  return child;
}

test('a mount over fuse-native serves other processes and keeps what they wrote', options, async (t) => {
  const temp = makeTemp(t);
  const { pageseal, metaUrl, key } = await formatted(temp);
  const mountPoint = temp.folder('mnt');
  const first = await serve(temp, [metaUrl, mountPoint, ...key, ...TRANSPORT, '-o', 'noexec'], mountPoint);
  // libfuse mounts without the flag; a remount sets it.
  const expected = / rw,[^ ]*nosuid,nodev,noexec[^ ]* - fuse\.pageseal pageseal:native /;
  await until('the mount has its flags', () => expected.test(mountOf(mountPoint) ?? ''));
  await runOk('cp', ['-r', 'src/cli', mountPoint]);
  await runOk('diff', ['-r', 'src/cli', `${mountPoint}/cli`]);
  await pageseal.umount(mountPoint);
  await ended(first);
  assert.equal(first.exitCode, 0);

  // Read-only, by the first transport's rules; ended by a signal.
  const second = await serve(temp, [metaUrl, mountPoint, ...key, ...TRANSPORT, '--read-only'], mountPoint);
  await runOk('diff', ['-r', 'src/cli', `${mountPoint}/cli`]);
  await assert.rejects(runOk('touch', [`${mountPoint}/new`]), /Read-only file system/);
  second.kill('SIGTERM');
  await ended(second);
  assert.equal(second.exitCode, 0);
  assert.equal(mountOf(mountPoint), undefined);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep', ...key]), /nothing is wrong/);
});

for (const [what, flags, said] of [
  ['allow_other', ['-o', 'transport=fuse-native,allow_other'], /allow_other with transport=fuse-native.*\nhint: /],
  ['SELinux contexts', [...TRANSPORT, '-o', 'context=a'], /context=a with transport=fuse-native/],
  ['sync', [...TRANSPORT, '-o', 'sync'], /sync and dirsync with transport=fuse-native/],
  ['the background', [...TRANSPORT, '-d'], /in the background with transport=fuse-native.*\nhint: leave out -d/],
] as const)
  test(`fuse-native refuses ${what}`, options, async (t) => {
    const temp = makeTemp(t);
    const { pageseal, metaUrl, key } = await formatted(temp);
    const mountPoint = temp.folder('mnt');
    const { code, stderr } = await pageseal.run(['mount', metaUrl, mountPoint, ...key, ...flags]);
    assert.equal(code, 8, stderr);
    assert.match(stderr, said);
    assert.equal(mountOf(mountPoint), undefined);
  });
