// The example of the README, as printed there: two processes, docs/examples/pvc.mjs up, files in the volume, down.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pagesealProgram } from '../harness/pageseal.ts';
import { ended, runOk, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';

test(
  'the example makes a volume, shows it, and takes it away',
  needs('root', 'fuse', 'openssl', 'the addon'),
  async (t) => {
    const temp = makeTemp(t);
    const { env } = temp;
    for (const path of ['volumes', 'kubelet/plugins', 'kubelet/pods']) mkdirSync(temp.at(path), { recursive: true });
    writeFileSync(temp.at('passphrase'), 'correct horse battery staple\n');
    const pass = `file:${temp.at('passphrase')}`;
    await runOk('openssl', ['genrsa', '-aes256', '-passout', pass, '-out', temp.at('key.pem'), '2048']);
    const [key, out] = [temp.at('key.pem'), temp.at('public.pem')];
    await runOk('openssl', ['rsa', '-in', key, '-passin', pass, '-pubout', '-out', out]);

    const start = (args: readonly string[]): ChildProcess => spawn(pagesealProgram, args, { env, stdio: 'ignore' });
    const kubelet = ['--kubelet-directory', temp.at('kubelet')];
    const csi = [
      'csi',
      '--mode',
      'all',
      '--endpoint',
      `unix://${temp.at('csi.sock')}`,
      '--node-id',
      'trial',
      ...kubelet,
    ];
    const place = ['--embedded-directory', temp.at('volumes'), '--keeper-socket', temp.at('run/keeper.sock')];
    const running = [start(['keeper', '--run-directory', temp.at('run'), ...kubelet]), start([...csi, ...place])];
    for (const socket of ['run/keeper.sock', 'csi.sock']) await until(socket, () => existsSync(temp.at(socket)));

    const example = (what: string): Promise<string> =>
      runOk(process.execPath, [join(root, 'docs/examples/pvc.mjs'), what, temp.path], { env });
    const target = (await example('up')).trim();
    await runOk('cp', ['-r', join(root, 'src/base'), target]);
    await runOk('diff', ['-r', join(root, 'src/base'), `${target}/base`]);
    await example('down');
    assert.deepEqual(readdirSync(temp.at('volumes')), []);
    assert.deepEqual(temp.mounts(), []);
    for (const child of running) {
      child.kill('SIGTERM');
      await ended(child);
      assert.equal(child.exitCode, 0);
    }
  },
);
