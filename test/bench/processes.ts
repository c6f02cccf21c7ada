// `npm run bench -- --processes`: what each process of a node and the controller take, from the container image's root, with
// PostgreSQL and S3 over TLS: idle, and while volumes are made, mounted, written and read. The chart's requests come from it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CsiCluster } from '../harness/csi-cluster.ts';
import type { CsiNode, PublishedVolume } from '../harness/csi-node.ts';
import { ImageRoot } from '../harness/image-root.ts';
import { ended, runOk, until } from '../harness/program.ts';
import { Temp } from '../harness/temp.ts';
import { ApiServer } from '../kube/api-server.ts';
import { usageOf } from './clients.ts';

const VOLUMES = 10;
const DATA_MIB = 512;
const FILE_SYSTEMS = 100;
/** Until a process that has started, or done something, has settled. */
const SETTLE_MS = 5_000;
/** Over which the processor time of an idle process is taken. */
const IDLE_MS = 30_000;

interface Row {
  readonly process: string;
  readonly state: string;
  /** MiB: proportional set, resident, largest resident so far; seconds of processor time, of how many. */
  readonly pss: number;
  readonly resident: number;
  readonly peak: number;
  readonly cpu: number;
  readonly seconds: number;
}

const rows: Row[] = [];

/** Runs `work` and notes what each process took meanwhile, and has then. */
async function during(state: string, pids: Readonly<Record<string, readonly number[]>>, work: () => Promise<unknown>) {
  const before = Object.entries(pids).map(([name, list]) => ({ name, list, cpu: usageOf(list).cpu }));
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  for (const { name, list, cpu } of before) {
    const { pss, resident, peak, cpu: now } = usageOf(list);
    const each = list.length;
    const mean = { pss: pss / each, resident: resident / each, peak: peak / each, cpu: (now - cpu) / each };
    rows.push({ process: name, state, ...mean, seconds });
  }
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function workersOf(node: CsiNode): number[] {
  const pid = node.pid('keeper');
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

export async function processes(): Promise<string> {
  const temp = new Temp();
  try {
    const image = await ImageRoot.make(temp);
    await measure(await CsiCluster.make(temp, 1, image));
    await measureOperator(temp, image);
    return render();
  } finally {
    await temp.remove();
  }
}

async function measure({ first: node, provisioner, node: secrets }: CsiCluster): Promise<void> {
  const controller = { controller: [node.pid('controller')] };
  const onNode = { 'node plugin': [node.pid('node')], keeper: [node.pid('keeper')] };
  await wait(SETTLE_MS);
  await during('idle, no volume yet', { ...controller, ...onNode }, () => wait(IDLE_MS));
  let volumes: PublishedVolume[] = [];
  await during(`${VOLUMES} volumes made at once`, controller, async () => {
    volumes = await Promise.all(Array.from({ length: VOLUMES }, (_, i) => node.create(`claim-${i}`, provisioner)));
  });
  const targets: string[] = [];
  await during(`${VOLUMES} volumes staged and published at once`, onNode, async () => {
    const all = volumes.map(async (volume, i) => {
      await node.stage(volume, secrets);
      return await node.publish(volume, `pod-${i}`, secrets);
    });
    targets.push(...(await Promise.all(all)));
  });
  const workers = workersOf(node);
  assert.equal(workers.length, VOLUMES);
  await wait(SETTLE_MS);
  const all = { ...controller, ...onNode, [`worker (mean of ${VOLUMES})`]: workers };
  await during(`idle, ${VOLUMES} volumes`, all, () => wait(IDLE_MS));
  const busy = { worker: [busiest(workers, targets[0] ?? assert.fail('no target'))] };
  const file = join(targets[0] ?? '', 'data');
  const data = ['if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${DATA_MIB}`, 'conv=fsync', 'status=none'];
  await during(`${DATA_MIB} MiB written`, busy, () => runOk('dd', data));
  const read = [`if=${file}`, 'of=/dev/null', 'bs=1M', 'iflag=direct', 'status=none'];
  await during(`${DATA_MIB} MiB read`, busy, () => runOk('dd', read));
  await during(`${VOLUMES} volumes unpublished and unstaged at once`, onNode, () =>
    Promise.all(
      volumes.map(async (volume, i) => {
        await node.unpublish(volume, `pod-${i}`);
        await node.unstage(volume);
      }),
    ),
  );
  await during(`${VOLUMES} volumes deleted at once`, controller, () =>
    Promise.all(volumes.map((volume) => node.delete(volume, provisioner))),
  );
  await wait(SETTLE_MS);
  await during('idle, all gone again', { ...controller, ...onNode }, () => wait(IDLE_MS));
}

/** With an API server that knows nothing but its objects; their Secrets are missing, so it looks and formats nothing. */
async function measureOperator(temp: Temp, image: ImageRoot): Promise<void> {
  const api = await ApiServer.start(temp);
  const account = join(image.path, 'var/run/secrets/kubernetes.io/serviceaccount');
  mkdirSync(account, { recursive: true });
  for (const [name, text] of [
    ['token', api.token],
    ['ca.crt', api.ca],
    ['namespace', 'default'],
  ] as const)
    writeFileSync(join(account, name), text);
  const env = { ...image.env, KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(api.port) };
  const [program = '', ...words] = [...image.enter, image.program, 'operator', '--namespace', 'default'];
  const child = spawn(program, words, { env, stdio: 'ignore' });
  temp.beforeRemoval(async () => {
    child.kill();
    await ended(child);
  });
  const has = async (...what: string[]): Promise<number> =>
    (await api.kubectl('get', ...what)).split(' ').filter(Boolean).length;
  await until(
    'the lease',
    async () => (await has('lease', '--output', 'jsonpath={.items[*].spec.holderIdentity}')) > 0,
  );
  const operator = { operator: [child.pid ?? 0] };
  await wait(SETTLE_MS);
  await during('idle', operator, () => wait(IDLE_MS));
  await during(`${FILE_SYSTEMS} objects declared`, operator, async () => {
    const items = Array.from({ length: FILE_SYSTEMS }, (_, i) => ({
      apiVersion: 'pageseal.dev/v1alpha1',
      kind: 'FileSystem',
      metadata: { name: `declared-${i}`, namespace: 'default' },
      spec: { secretName: 'missing' },
    }));
    assert.equal((await api.apply({ apiVersion: 'v1', kind: 'List', items })).code, 0);
    const phases = ['filesystems', '--output', 'jsonpath={.items[*].status.phase}'];
    await until('a phase of each', async () => (await has(...phases)) === FILE_SYSTEMS);
  });
  await during(`idle, ${FILE_SYSTEMS} objects`, operator, () => wait(IDLE_MS));
}

function render(): string {
  const head =
    '| process | state | proportional set, MiB | resident, MiB | peak, MiB | processor, s | of, s |\n|---|---|---|---|---|---|---|';
  const lines = rows
    .toSorted((a, b) => order(a) - order(b))
    .map(({ process, state, pss, resident, peak, cpu, seconds }) => {
      const figures = [pss.toFixed(0), resident.toFixed(0), peak.toFixed(0), cpu.toFixed(2), seconds.toFixed(1)];
      return `| ${[process, state, ...figures].join(' | ')} |`;
    });
  return [head, ...lines].join('\n');
}

const kinds = ['controller', 'operator', 'node plugin', 'keeper', 'worker'];
const order = (row: Row): number => kinds.findIndex((kind) => row.process.startsWith(kind));

/** The worker that a write to this volume keeps busy. */
function busiest(workers: readonly number[], target: string): number {
  const cpu = (): Map<number, number> => new Map(workers.map((pid) => [pid, usageOf([pid]).cpu]));
  const before = cpu();
  writeFileSync(join(target, 'probe'), Buffer.alloc(32 * 1_048_576));
  const after = cpu();
  const spent = (pid: number): number => (after.get(pid) ?? 0) - (before.get(pid) ?? 0);
  return workers.toSorted((a, b) => spent(b) - spent(a))[0] ?? assert.fail('no worker');
}
