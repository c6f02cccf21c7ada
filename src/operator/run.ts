// Puts the operator together: one of its processes leads, watches what is declared, and works on it until it is told to end.

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type FsError, fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { counter, gauge, timer } from '../base/metrics.ts';
import type { PlaceRules } from '../connection/place.ts';
import type { KubeClient } from '../kube/client.ts';
import { connectKube } from '../kube/connect.ts';
import { fileSystems } from '../kube/crd/file-system.ts';
import { Informer } from '../kube/informer.ts';
import { Leader } from '../kube/leader.ts';
import { Recorder } from '../kube/recorder.ts';
import { csiNodes, nodes, pods } from '../kube/resources.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import { Claims } from './claims.ts';
import { FileSystems } from './file-systems.ts';
import { KEEPER_SELECTOR, reconcileNode } from './nodes.ts';

export interface OperatorOptions {
  /** Of the operator's lease, and of the keepers. */
  readonly namespace: string;
  readonly leaseName: string;
  readonly rules: Omit<PlaceRules, 'embedded'>;
  readonly kubeconfig?: string | undefined;
}

/** Most of the time of each is waiting: for sessions, databases, stores. */
const PARALLEL = { fileSystems: 16, nodes: 4 };
/** Corrected Secrets are waited for, so nobody waits longer than a minute. */
const BACK_OFF = { baseMs: 1000, capMs: 60_000 };

/** Resolves after `signal`; rejects when the lease is lost, since another operator may work then. */
export async function runOperator(options: OperatorOptions, signal: AbortSignal): Promise<void> {
  const client = await connectKube({ kubeconfig: options.kubeconfig });
  const identity = `${hostname()}-${randomBytes(4).toString('hex')}`;
  const { namespace, leaseName } = options;
  const leader = new Leader({ client, namespace, name: leaseName, identity });
  let leading = 0;
  gauge('pageseal_operator_leading', '1 in the operator that works', () => leading);
  try {
    const lead = async (over: AbortSignal): Promise<void> => {
      leading = 1;
      await work(client, options, over).finally(() => {
        leading = 0;
      });
    };
    const end = await leader.run(lead, signal);
    if (end === 'lost') throw fail('cluster-unavailable', `operator: the lease ${namespace}/${leaseName} was lost`);
  } finally {
    client.close();
  }
}

async function work(client: KubeClient, options: OperatorOptions, over: AbortSignal): Promise<void> {
  const recorder = new Recorder(async () => client, 'pageseal-operator', hostname());
  const parts = [fileSystemWork(client, recorder, options), nodeWork(client, recorder, options)];
  try {
    for (const part of parts) await part.start(over);
    if (!over.aborted) await new Promise((told) => over.addEventListener('abort', told, { once: true }));
  } finally {
    for (const part of parts) await part.stop();
    await recorder.flush();
  }
}

interface Part {
  start(over: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

function fileSystemWork(client: KubeClient, recorder: Recorder, { rules }: OperatorOptions): Part {
  const claims = new Claims((key) => queue.add(key));
  const reconciler = new FileSystems({ client, recorder, claims, rules: { ...rules, embedded: undefined } });
  const queue = new WorkQueue({
    name: 'file system',
    work: (key, signal) => reconciler.reconcile(key, signal),
    parallel: PARALLEL.fileSystems,
    backOff: BACK_OFF,
    onEnd: counted('file_system'),
  });
  gauge('pageseal_operator_file_systems_queue_depth', 'FileSystem objects that wait for their turn', () => queue.depth);
  const informer = new Informer({
    client,
    resource: fileSystems,
    // Our own writing of a status is nothing to look at; specs, deletion and finalizers are.
    onChange: (key, object, old) => {
      if (object === undefined || old === undefined || isOther(object.metadata, old.metadata)) queue.add(key);
    },
  });
  return {
    start: (over) => started(informer, over),
    stop: async () => {
      await informer.stop();
      await queue.stop();
    },
  };
}

const isOther = (
  a: { readonly generation?: number; uid?: string; finalizers?: readonly string[] },
  b: typeof a,
): boolean => a.generation !== b.generation || a.uid !== b.uid || a.finalizers?.length !== b.finalizers?.length;

function nodeWork(client: KubeClient, recorder: Recorder, { namespace }: OperatorOptions): Part {
  const queue: WorkQueue = new WorkQueue({
    name: 'node',
    work: (key) => reconcileNode(key, { client, recorder, ...informers }),
    parallel: PARALLEL.nodes,
    onEnd: counted('node'),
  });
  gauge('pageseal_operator_nodes_queue_depth', 'Nodes that wait for their turn', () => queue.depth);
  const informers = {
    nodes: new Informer({ client, resource: nodes, onChange: (key) => queue.add(key) }),
    csiNodes: new Informer({ client, resource: csiNodes, onChange: (key) => queue.add(key) }),
    keepers: new Informer({
      client,
      resource: pods,
      namespace,
      labelSelector: KEEPER_SELECTOR,
      onChange: (_, pod) => {
        if (pod?.spec?.nodeName !== undefined) queue.add(pod.spec.nodeName);
      },
    }),
  };
  const all = [informers.nodes, informers.csiNodes, informers.keepers];
  return {
    start: async (over) => {
      for (const informer of all) await started(informer, over);
    },
    stop: async () => {
      for (const informer of all) await informer.stop();
      await queue.stop();
    },
  };
}

/** A server that is away is waited for, unless we are told to end. */
function started(informer: { start(): Promise<void> }, over: AbortSignal): Promise<void> {
  const told = new Promise<void>((resolve) => over.addEventListener('abort', () => resolve(), { once: true }));
  return over.aborted ? Promise.resolve() : Promise.race([informer.start(), told]);
}

function counted(kind: string): (key: string, failure: FsError | undefined, ms: number) => void {
  const label = { name: 'kind', value: kind };
  const turns = timer('pageseal_operator_reconciles', 'Turns of the operator at objects', label);
  const errors = counter('pageseal_operator_reconcile_errors_total', 'Turns that failed and come again', label);
  return (key, failure, ms) => {
    turns.add(ms);
    if (failure === undefined) return;
    errors.inc();
    log.debug('a turn failed', { kind, key, error: failure.message });
  };
}
