// The image's root file system as a root: nothing of the machine is in it but /proc and devices. Commands, and a volume's
// whole life with keeper, worker, controller and node plugin from in there.
import assert from 'node:assert/strict';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { CsiNode, type ProcessName, processes } from '../harness/csi-node.ts';
import { ImageRoot } from '../harness/image-root.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { freePort } from '../harness/port.ts';
import type { Outcome } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';

const PASSPHRASE = 'canary-passphrase';
const temp = makeTemp();
let image: ImageRoot;
const inside = (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Outcome> =>
  image.run(image.program, args, env);

const wanted = needs('root', 'fuse', 'openssl', 'the addon');
before(async () => {
  if (wanted.skip !== undefined) return;
  image = await ImageRoot.make(temp);
  await image.share(temp.folder('node'));
});

test('the commands, without a shell and whatever the environment says', wanted, async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  for (const env of [{}, { NODE_OPTIONS: '--require=/nothing', PATH: '' }])
    assert.deepEqual(await inside(['version'], env), { code: 0, stdout: `pageseal ${version}\n`, stderr: '' });
  const { node } = JSON.parse((await inside(['version', '--json'])).stdout) as { node: string };
  assert.equal(`v${node}`, process.version);
  assert.match((await inside(['--help'])).stdout, /^Usage: pageseal /);
  for (const command of ['csi', 'keeper', 'format', 'mount', 'fsck'])
    assert.equal((await inside([command, '--help'])).code, 0, command);
  const { code, stderr } = await inside(['status', 'sqlite3:///nowhere.db']);
  assert.deepEqual([code === 0, stderr.startsWith('pageseal: ')], [false, true]);
});

test('names are looked up as the files and servers of a pod say', wanted, async () => {
  writeFileSync(join(image.path, 'etc/hosts'), '192.0.2.7 database.example\n');
  const script = `require('dns').lookup('database.example', (e, a) => console.log(e ? e.code : a))`;
  const { stdout } = await image.run('/opt/pageseal/bin/node', ['--eval', script]);
  assert.equal(stdout, '192.0.2.7\n');
});

test('a volume of a pod, from its making to its end', wanted, async (t) => {
  const at = (...parts: string[]): string => temp.at('node', ...parts);
  const node = new CsiNode({ env: image.env, at, enter: image.enter, program: image.program });
  const urls = new Map<ProcessName, string>();
  t.after(() => node.stop());
  for (const name of processes) {
    const address = `127.0.0.1:${await freePort()}`;
    await node.startOne(name, ['--http-address', address]);
    urls.set(name, `http://${address}`);
  }
  const get = async (name: ProcessName, page: string): Promise<[number, string]> => {
    const reply = await fetch(`${urls.get(name)}${page}`);
    return [reply.status, await reply.text()];
  };
  const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
  const provisioner = { 'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8') };
  const secrets = { 'rsa-key': readFileSync(key.file, 'utf8'), passphrase: PASSPHRASE };
  const volume = await node.create('claim', provisioner);
  await node.stage(volume, secrets);
  const target = await node.publish(volume, 'pod-1', secrets);
  const text = 'what the pod wrote\n'.repeat(100_000);
  writeFileSync(join(target, 'file'), text);
  assert.equal(readFileSync(join(target, 'file'), 'utf8'), text);

  await t.test('worker and keeper are the image’s own', async () => {
    const own = join(image.path, 'opt/pageseal/bin/node');
    assert.deepEqual(programsOf(node.pid('keeper')), [own, own]);
  });
  await t.test('all of them say over HTTP that they are well', async () => {
    for (const name of processes)
      for (const page of ['/healthz', '/readyz'])
        assert.deepEqual([name, page, ...(await get(name, page))], [name, page, 200, 'ok\n']);
  });
  await t.test('counters: of calls, and of the volume', async () => {
    const [, controller] = await get('controller', '/metrics');
    assert.match(controller, /^pageseal_csi_calls_total\{method="createVolume"\} 1$/m);
    const [, keeper] = await get('keeper', '/metrics');
    const label = `volume="${volume.volumeId}"`;
    assert.ok(keeper.includes(`pageseal_volume_up{${label}} 1\n`), keeper);
    assert.match(keeper, new RegExp(`^pageseal_fuse_written_bytes_total\\{${label}\\} ${text.length}$`, 'm'));
    assert.match(keeper, /^pageseal_process_resident_bytes \d+$/m);
    const names = [...keeper.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    assert.deepEqual(names.length, new Set(names).size);
    for (const said of [controller, keeper, (await get('node', '/metrics'))[1]])
      assert.doesNotMatch(said, /canary|claim|file"|BEGIN|\/kubelet|node-1/);
  });
  await node.unpublish(volume, 'pod-1');
  await node.unstage(volume);
  await node.delete(volume, provisioner);
  await t.test('a node plugin without its keeper lives, and is not ready', async () => {
    await node.stopOne('keeper');
    assert.deepEqual(await get('node', '/healthz'), [200, 'ok\n']);
    assert.deepEqual(await get('node', '/readyz'), [503, 'keeper: nobody listens at its socket\n']);
  });
  await node.stop();
  const left = temp.mounts().filter((point) => point.startsWith(at('run')) || point.startsWith(at('kubelet')));
  assert.deepEqual(left, []);
});

/** Of a process and its first child. */
function programsOf(pid: number): string[] {
  const [child = '0'] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return [String(pid), child].map((one) => readlinkSync(`/proc/${one}/exe`));
}
