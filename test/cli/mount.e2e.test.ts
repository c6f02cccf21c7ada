// `pageseal mount` and `umount` as a user meets them: refusals, signals, prompts, what is stuck and what is dead.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { topMount } from '../../src/keeper/mountinfo.ts';
import { keeperPid, workerPid } from '../crash/client.ts';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { Pageseal, pagesealProgram } from '../harness/pageseal.ts';
import { ended, type Outcome, run, runOk, until } from '../harness/program.ts';
import { Temp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';
import { isRunning } from '../keeper/node.ts';

const PASSPHRASE = 'not to be shown';
const promptScript = fileURLToPath(new URL('prompt.py', import.meta.url));
/** Where root's mounts are noted. */
const RECORDS = '/run/pageseal-mounts';

function notes(): string[] {
  try {
    return readdirSync(RECORDS);
  } catch {
    return []; // the last mount's end took their folder away
  }
}

function noteOf(name: string): string {
  try {
    return readFileSync(join(RECORDS, name), 'utf8');
  } catch {
    return ''; // gone meanwhile
  }
}

describe('mount', needs('root', 'fuse', 'openssl', 'python3', 'the addon'), () => {
  const temp = new Temp();
  const pageseal = new Pageseal(temp, PASSPHRASE);
  let key: TestKey;
  const meta = `sqlite3://${temp.at('meta.db')}`;
  const point = temp.at('mount');

  const mountArgs = (flags: readonly string[] = [], at = point): string[] => {
    return ['mount', '-d', meta, at, '--log', temp.at('log'), '--rsa-key', key.file, ...flags];
  };
  const umount = (...flags: string[]): Promise<Outcome> => pageseal.run(['umount', point, ...flags]);
  const refused = async (code: number, text: RegExp, args: readonly string[]): Promise<void> => {
    const outcome = await pageseal.run(args);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, text);
    assert.deepEqual(temp.mounts(), []);
  };

  before(async () => {
    key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    await pageseal.format(meta, 'cli', `${temp.folder('bucket')}/`, ['--rsa-key', key.file, '--trash-days', '0']);
  });
  afterEach(async () => {
    for (const mounted of temp.mounts()) await run('umount', ['-l', '--no-canonicalize', mounted]);
  });
  after(() => temp.remove());

  test('a wrong passphrase or key file mounts nothing, in the background and in the foreground', async () => {
    const wrong = new Pageseal(temp, 'wrong');
    for (const args of [mountArgs(), mountArgs().filter((arg) => arg !== '-d')]) {
      const outcome = await wrong.run(args);
      assert.equal(outcome.code, 3);
      assert.match(outcome.stderr, /wrong passphrase or damaged key/);
      assert.deepEqual(temp.mounts(), []);
    }
    await refused(2, /reading the RSA key failed: ENOENT/, ['mount', '-d', meta, point, '--rsa-key', temp.at('none')]);
  });

  test('what cannot be a mount point', async () => {
    writeFileSync(temp.at('file'), '');
    await refused(2, /not a directory/, mountArgs([], temp.at('file')));
    await refused(2, /not a directory|ENOTDIR/, mountArgs([], temp.at('file/below')));
    symlinkSync('loop', temp.at('loop'));
    await refused(2, /too many links/, mountArgs([], temp.at('loop')));
  });

  test('a mount point is made; what was in it is hidden, not lost', async () => {
    await pageseal.ok(mountArgs([], temp.at('new/deep')));
    await pageseal.umount(temp.at('new/deep'));
    mkdirSync(temp.at('full'));
    writeFileSync(temp.at('full/file'), 'mine');
    symlinkSync('full', temp.at('link'));
    await pageseal.ok(mountArgs([], temp.at('link')));
    assert.deepEqual(readdirSync(temp.at('full')), []);
    await pageseal.umount(temp.at('link'));
    assert.equal(readFileSync(temp.at('full/file'), 'utf8'), 'mine');
  });

  test('metadata or objects below the mount point are refused', async () => {
    await refused(8, /the metadata .* lies below/, mountArgs([], temp.path));
    await refused(8, /the object store .* lies below/, mountArgs([], temp.at('bucket')));
  });

  test('an unknown option is named', async () => {
    await refused(2, /no-such-option/, mountArgs(['-o', 'noatime,no-such-option']));
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    test(`${signal} ends a foreground mount after its last flush`, async () => {
      const env = { ...temp.env, JFS_RSA_PASSPHRASE: PASSPHRASE };
      const args = mountArgs().filter((arg) => arg !== '-d');
      const child = spawn(pagesealProgram, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
      await until('it is mounted', () => said.includes('mounted'));
      // Held open and not flushed when the signal comes.
      const writer = spawn('python3', ['-c', WRITE_AND_WAIT, join(point, signal)], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      await new Promise((resolve) => writer.stdout.once('data', resolve));
      child.kill(signal);
      await until('the mount has gone', () => topMount(point) === undefined);
      writer.stdin.end();
      await Promise.all([ended(writer), ended(child)]);
      assert.equal(child.exitCode, 0, said);
      await pageseal.ok(mountArgs(['--read-only']));
      assert.equal(readFileSync(join(point, signal), 'utf8'), 'written');
      await pageseal.umount(point);
    });

  test('umount is for mounts of ours', async () => {
    const none = await pageseal.run(['umount', temp.folder('other')]);
    assert.equal(none.code, 4);
    assert.match(none.stderr, /no volume is mounted there/);
    await runOk('mount', ['-t', 'tmpfs', 'foreign', temp.at('other')]);
    assert.equal((await pageseal.run(['umount', '--force', temp.at('other')])).code, 4);
    assert.equal(topMount(temp.at('other'))?.type, 'tmpfs');
  });

  test('a mount in use is said to be busy, and stays', async () => {
    await pageseal.ok(mountArgs());
    const holder = spawn('sleep', ['60'], { cwd: point });
    await until('it runs there', () => existsSync(`/proc/${holder.pid}/cwd/`));
    const busy = await umount();
    assert.equal(busy.code, 6);
    assert.match(busy.stderr, /files in it are in use\nhint: fuser/);
    assert.equal((await pageseal.run(mountArgs())).code, 6, 'nor is a second mount put over it');
    holder.kill();
    await ended(holder);
    await pageseal.umount(point);
  });

  test('umount --force of a worker that hangs', async () => {
    await pageseal.ok(mountArgs());
    const keeper = keeperPid(point);
    const worker = workerPid(keeper) ?? 0;
    process.kill(worker, 'SIGSTOP');
    const caller = spawn('ls', [`${point}/x`], { stdio: 'ignore' });
    await until('a caller waits', () => existsSync(`/proc/${caller.pid}/wchan`));
    assert.equal((await pageseal.run(mountArgs())).code, 6, 'a second mount does not wait for it');
    const forced = await umount('--force');
    assert.match(forced.stderr, /did not end and was killed/);
    await ended(caller);
    assert.deepEqual(temp.mounts(), []);
    await until('its processes have ended', () => !isRunning(keeper) && !isRunning(worker));
    await pageseal.ok(mountArgs());
    await pageseal.umount(point);
  });

  test('a dead mount is unmounted, or cleared by the next mount', async () => {
    for (const next of ['umount', 'mount'] as const) {
      await pageseal.ok(mountArgs());
      process.kill(keeperPid(point), 'SIGKILL');
      await until('it is dead', async () => /not connected/.test((await run('ls', [point])).stderr));
      if (next === 'mount') await pageseal.ok(mountArgs());
      await pageseal.umount(point);
      assert.deepEqual(temp.mounts(), []);
    }
  });

  test('read-only and a subdirectory', async () => {
    await pageseal.ok(mountArgs());
    mkdirSync(join(point, 'sub'));
    writeFileSync(join(point, 'sub/file'), 'x');
    await pageseal.umount(point);
    await pageseal.ok(mountArgs(['--read-only', '--subdir', 'sub']));
    assert.deepEqual(readdirSync(point), ['file']);
    assert.throws(() => writeFileSync(join(point, 'other'), ''), { code: 'EROFS' });
    await pageseal.umount(point);
    await refused(4, /none/, mountArgs(['--subdir', 'none']));
  });

  test('nothing is left of the notes about mounts', async () => {
    await pageseal.ok(mountArgs());
    // Others mount and unmount meanwhile: their notes come and go.
    const noted = notes().filter((name) => name.endsWith('.json') && noteOf(name).includes(point));
    assert.equal(noted.length, 1);
    await pageseal.umount(point);
    const own = noted.map((name) => name.replace('.json', ''));
    assert.deepEqual(
      notes().filter((name) => own.some((stem) => name.startsWith(stem))),
      [],
    );
  });

  describe('passphrase', () => {
    const ask = async (answer: string, question: string, args: readonly string[]) => {
      const text = await runOk('python3', [promptScript, answer, question, pagesealProgram, ...args], {
        env: temp.env,
      });
      return JSON.parse(text) as { shown: string; asked: boolean; code: number };
    };

    test('from the terminal, shown nowhere', async () => {
      const right = await ask(PASSPHRASE, 'Passphrase of', mountArgs());
      assert.ok(right.asked);
      assert.equal(right.code, 0, right.shown);
      assert.ok(!right.shown.includes(PASSPHRASE) && !right.shown.includes('*'), right.shown);
      await pageseal.umount(point);
      const wrong = await ask('no', 'Passphrase of', mountArgs());
      assert.equal(wrong.code, 3);
      assert.match(wrong.shown, /wrong passphrase/);
      const none = await ask('', 'Passphrase of', mountArgs());
      assert.equal(none.code, 3, none.shown);
    });

    test('from a file', async () => {
      writeFileSync(temp.at('passphrase'), `${PASSPHRASE}\n`);
      const args = mountArgs(['--passphrase-file', temp.at('passphrase')]);
      await new Pageseal(temp).ok(args);
      await pageseal.umount(point);
    });

    test('of an open key: none, also when the variable is empty', async () => {
      const open = await makeKey(temp, 2048, 'traditional');
      const url = `sqlite3://${temp.at('open.db')}`;
      await new Pageseal(temp).format(url, 'open', `${temp.folder('open')}/`, ['--rsa-key', open.file]);
      for (const given of [undefined, '']) {
        await new Pageseal(temp, given).mount(url, temp.at('open-mount'), ['--rsa-key', open.file]);
        await pageseal.umount(temp.at('open-mount'));
      }
    });
  });

  for (const entry of ['src/main.ts', 'dist/main.js'])
    test(`${entry} mounts`, async () => {
      if (entry.startsWith('dist')) await runOk(process.execPath, [join(root, 'setup/build.mjs')], { cwd: root });
      const env = { ...temp.env, JFS_RSA_PASSPHRASE: PASSPHRASE };
      await runOk(process.execPath, [join(root, entry), ...mountArgs()], { env });
      const command = readFileSync(`/proc/${workerPid(keeperPid(point))}/cmdline`, 'utf8');
      assert.ok(command.includes(entry), command);
      writeFileSync(join(point, 'entry'), entry);
      assert.equal(readFileSync(join(point, 'entry'), 'utf8'), entry);
      rmSync(join(point, 'entry'));
      await pageseal.umount(point);
    });
});

/** Writes, says so, and keeps the file open until its input ends. */
const WRITE_AND_WAIT =
  'import os, sys\nfd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\nos.write(fd, b"written")\nprint(1, flush=True)\nsys.stdin.read()\nos._exit(0)';
