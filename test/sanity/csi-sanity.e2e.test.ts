// The CSI conformance suite against the real processes: controller, node plugin, keeper, workers, FUSE mounts. No fake
// mounter anywhere.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { BUCKET, CsiCluster } from '../harness/csi-cluster.ts';
import { CsiNode } from '../harness/csi-node.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { run } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { csiSanityProgram, needs } from '../harness/tools.ts';

const PASSPHRASE = 'canary passphrase $1';
/** The suite's own limit, above what a loaded machine needs. */
const SUITE_TIMEOUT_MS = 300_000;

const wanted = needs('root', 'fuse', 'openssl', 'the addon', 'csi-sanity');
const wantedElsewhere = needs(
  ...(['root', 'fuse', 'openssl', 'the addon', 'csi-sanity', 'postgres', 'versitygw', 'network namespaces'] as const),
);

test('csi-sanity', wanted, async (t) => {
  const temp = makeTemp(t);
  const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
  const provisioner = { 'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8') };
  const node = { 'rsa-key': readFileSync(key.file, 'utf8'), passphrase: PASSPHRASE };
  const csi = new CsiNode(temp);
  t.after(() => csi.stop());
  await csi.start();
  await sanity(t, temp, csi, { provisioner, node });
  assert.deepEqual(readdirSync(csi.embedded), []);
});

test('csi-sanity on PostgreSQL and S3', wantedElsewhere, async (t) => {
  const temp = makeTemp(t);
  const cluster = await CsiCluster.make(temp, 1);
  await sanity(t, temp, cluster.first, cluster);
  assert.deepEqual(await cluster.schemas(), []);
  assert.deepEqual(cluster.s3.objects(BUCKET), []);
});

async function sanity(
  t: TestContext,
  temp: Temp,
  csi: CsiNode,
  { provisioner, node }: Pick<CsiCluster, 'provisioner' | 'node'>,
): Promise<void> {
  const secrets = temp.at('secrets.yaml');
  // JSON is YAML.
  writeFileSync(
    secrets,
    JSON.stringify({
      CreateVolumeSecret: provisioner,
      DeleteVolumeSecret: provisioner,
      ControllerValidateVolumeCapabilitiesSecret: provisioner,
      ControllerExpandVolumeSecret: provisioner,
      NodeStageVolumeSecret: node,
      NodePublishVolumeSecret: node,
    }),
  );
  const folder = `${csi.kubelet}/sanity`;
  mkdirSync(folder);
  const args = [
    `--csi.endpoint=unix://${csi.nodeSocket}`,
    `--csi.controllerendpoint=unix://${csi.controllerSocket}`,
    `--csi.secrets=${secrets}`,
    `--csi.mountdir=${folder}/mount`,
    `--csi.stagingdir=${folder}/staging`,
    '--ginkgo.no-color',
    '--ginkgo.v',
  ];
  const outcome = await run(csiSanityProgram, args, { env: temp.env, timeoutMs: SUITE_TIMEOUT_MS });
  const summary = /Ran (\d+) of (\d+) Specs[\s\S]*?(\d+) Passed \| (\d+) Failed \| (\d+) Pending \| (\d+) Skipped/.exec(
    outcome.stdout,
  );
  assert.equal(outcome.code, 0, `${outcome.stdout}\n${outcome.stderr}`);
  t.diagnostic(summary?.[0].replaceAll('\n', ' ') ?? 'no summary');
  // A suite that skips everything passes too.
  assert(Number(summary?.[3]) >= MIN_PASSED, outcome.stdout);
  assert.deepEqual(temp.mounts(), []);
}

/** Passed with the capabilities announced now. */
const MIN_PASSED = 40;
