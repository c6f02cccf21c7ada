// What a stranger on the wire reads of the connections to database and store: nothing. Everything that passes is
// captured while a volume is made, mounted, worked on and checked, then searched for what was put in. The same search
// over the same work in clear text finds all of it, so it would find it here.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runOk } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { Canaries } from '../security/canaries.ts';
import { Capture, type Captured, readTls } from './capture.ts';
import { PASSPHRASE, RemoteVolume } from './volume.ts';

const wanted = needs(...interopNeeds, 'postgres', 'versitygw', 'network namespaces');
const FILES = 12;
const canary = (what: string): string => `${what}-${randomBytes(12).toString('hex')}`;

/** What is put into the volume; each is searched for by itself. */
const secrets = {
  folder: canary('folder'),
  file: canary('file'),
  renamed: canary('renamed'),
  linked: canary('linked'),
  symlink: canary('symlink'),
  target: canary('target'),
  attribute: canary('attribute'),
  value: canary('value'),
  content: canary('content'),
};

async function work(top: string): Promise<void> {
  const folder = join(top, secrets.folder);
  mkdirSync(folder);
  for (let number = 0; number < FILES; number++)
    writeFileSync(join(folder, `${secrets.file}-${number}`), `${secrets.content}\n`.repeat(200 * number + 1));
  const first = join(folder, `${secrets.file}-0`);
  await runOk('python3', [
    '-c',
    'import os, sys; os.setxattr(sys.argv[1], "user." + sys.argv[2], sys.argv[3].encode())',
    first,
    secrets.attribute,
    secrets.value,
  ]);
  linkSync(first, join(folder, secrets.linked));
  symlinkSync(secrets.target, join(folder, secrets.symlink));
  renameSync(join(folder, `${secrets.file}-1`), join(folder, secrets.renamed));
}

/** By a mount that knows nothing of it yet. */
async function look(top: string): Promise<void> {
  const folder = join(top, secrets.folder);
  assert.equal(readdirSync(folder).length, FILES + 2);
  assert.ok(readFileSync(join(folder, secrets.renamed), 'utf8').startsWith(secrets.content));
  assert.equal(readlinkSync(join(folder, secrets.symlink)), secrets.target);
  assert.equal(statSync(join(folder, secrets.linked)).nlink, 2);
  const value = await runOk('python3', [
    '-c',
    'import os, sys; print(os.getxattr(sys.argv[1], "user." + sys.argv[2]).decode())',
    join(folder, secrets.linked),
    secrets.attribute,
  ]);
  assert.equal(value.trim(), secrets.value);
}

/** A volume's life under the eyes of the capture. */
async function captured(temp: Temp, clear: boolean): Promise<{ volume: RemoteVolume; seen: Captured }> {
  const volume = await RemoteVolume.make(temp, { machines: 1, clear });
  const [mount] = volume.mounts;
  assert.ok(mount !== undefined);
  const capture = await Capture.start(temp, mount.machine, clear ? 'lo' : mount.machine.interfaceName);
  await volume.format(['--block-size', '64K']);
  await volume.mountAll();
  await work(mount.top);
  await volume.umountAll();
  await volume.mountAll();
  await look(mount.top);
  await volume.umountAll();
  await mount.pageseal.ok(['fsck', volume.metaUrl, '--deep', ...volume.reach]);
  await mount.pageseal.ok(['dump', volume.metaUrl, temp.at('dump.json')]);
  return { volume, seen: await capture.end() };
}

const wholeCapture = ({ frames, dropped, flows }: Captured): void => {
  assert.ok(frames > 0);
  assert.equal(dropped, 0);
  assert.deepEqual(
    flows.filter(({ started, gaps }) => !started || gaps > 0),
    [],
    'every connection was seen from its first byte to its last',
  );
};

const found = (canaries: Canaries, { flows, others }: Captured): string[] => [
  ...new Set([...flows.map(({ path }) => path), others].flatMap((path) => canaries.findIn(readFileSync(path)))),
];

test('the connections to PostgreSQL and S3 show no name, no content and no credential', wanted, async (t) => {
  const { volume, seen } = await captured(makeTemp(t), false);
  wholeCapture(seen);
  const canaries = new Canaries();
  const { accessKey, secretKey } = volume.s3;
  const password = decodeURIComponent(new URL(volume.metaUrl).password);
  for (const [what, text] of Object.entries({ ...secrets, accessKey, secretKey, password, PASSPHRASE }))
    canaries.addText(what, text);
  assert.deepEqual(found(canaries, seen), []);
  const tls = seen.flows.map((flow) => ({ flow, ...readTls(flow) }));
  assert.deepEqual(
    tls.flatMap(({ clear }) => clear),
    [],
    'every byte lies in a TLS record',
  );
  const sealedTo = (port: number): number =>
    tls.filter(({ flow }) => flow.targetPort === port).reduce((sum, { sealed }) => sum + sealed, 0);
  const ports = [volume.postgres.port, volume.s3.port];
  for (const port of ports) assert.ok(sealedTo(port) > 10_000, `the work went through port ${port}`);
  assert.deepEqual(
    seen.flows.filter(({ sourcePort, targetPort }) => !ports.includes(sourcePort) && !ports.includes(targetPort)),
    [],
    'and through no other',
  );
  t.diagnostic(`${seen.frames} frames, ${seen.flows.length} directions of connections, every byte in a TLS record`);
});

test('the same search finds everything in the same work in clear text', wanted, async (t) => {
  const { volume, seen } = await captured(makeTemp(t), true);
  wholeCapture(seen);
  // Key ids are in each request to the store; its secret key and the database's password are not sent as they are.
  for (const [what, text] of Object.entries({ ...secrets, accessKey: volume.s3.accessKey })) {
    const canaries = new Canaries();
    canaries.addText(what, text);
    assert.notDeepEqual(found(canaries, seen), [], `${what} is seen`);
  }
  assert.ok(seen.flows.some((flow) => readTls(flow).clear.length > 0));
});
