// The taint that keeps pods from a node on which no volume could be mounted yet: it goes when the kubelet knows the driver
// and the keeper of that node is ready. Putting it there is the administrator's, so it is never put back.

import { log } from '../base/log.ts';
import { DRIVER_NAME } from '../config/driver.ts';
import { isConflict } from '../kube/api-error.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Informer } from '../kube/informer.ts';
import type { CsiNode, Node, Pod } from '../kube/objects.ts';
import type { Recorder } from '../kube/recorder.ts';
import { nodes } from '../kube/resources.ts';

export const NOT_READY_TAINT = `${DRIVER_NAME}/not-ready`;
/** Of the keeper's pods, in the operator's namespace. */
export const KEEPER_SELECTOR = 'app.kubernetes.io/name=pageseal,app.kubernetes.io/component=keeper';

export interface NodeParts {
  readonly client: KubeClient;
  readonly recorder: Recorder;
  readonly nodes: Informer<Node>;
  readonly csiNodes: Informer<CsiNode>;
  readonly keepers: Informer<Pod>;
}

export async function reconcileNode(name: string, parts: NodeParts): Promise<undefined> {
  const node = parts.nodes.get(name);
  const taints = node?.spec?.taints ?? [];
  const left = taints.filter(({ key }) => key !== NOT_READY_TAINT);
  if (node === undefined || left.length === taints.length || !isUsable(name, parts)) return undefined;
  const { resourceVersion } = node.metadata;
  const patch = { metadata: { resourceVersion }, spec: { taints: left } };
  try {
    await parts.client.patch(nodes, { name }, patch);
  } catch (thrown) {
    // Changed meanwhile: the change itself comes here, too.
    if (isConflict(thrown)) return undefined;
    throw thrown;
  }
  const message = `took the taint ${NOT_READY_TAINT} away: driver and keeper are ready`;
  const about = { apiVersion: 'v1', kind: 'Node', name, uid: name };
  parts.recorder.record({ about, type: 'Normal', reason: 'PagesealReady', message });
  log.info('node: took the taint away', { node: name });
  return undefined;
}

function isUsable(name: string, { csiNodes, keepers }: NodeParts): boolean {
  const drivers = csiNodes.get(name)?.spec?.drivers ?? [];
  if (!drivers.some((driver) => driver.name === DRIVER_NAME)) return false;
  return keepers.all().some(({ metadata, spec, status }) => {
    const isReady = status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') === true;
    return spec?.nodeName === name && isReady && metadata.deletionTimestamp === undefined;
  });
}
