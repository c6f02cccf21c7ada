// Puts a CSI process together: which services it offers in its mode, on what rules, until it is told to end.

import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { DRIVER_NAME, TOPOLOGY_NODE_ID } from '../config/driver.ts';
import { selinuxLabel } from '../config/selinux.ts';
import type { PlaceRules } from '../connection/place.ts';
import { connectKeeper, type Keeper } from '../keeper/client.ts';
import { DescriptorHolder } from '../keeper/client-holder.ts';
import type { KubeClient } from '../kube/client.ts';
import { native } from '../native/native.ts';
import { controllerMethods } from './controller.ts';
import { identityMethods } from './identity.ts';
import { LostMounts } from './lost-mounts.ts';
import { NodeService } from './node.ts';
import { NodeState } from './node-state.ts';
import { loggedNotices, recordedNotices } from './notices.ts';
import type { ServiceName } from './proto.ts';
import { SecretProtection } from './secret-finalizer/protection.ts';
import { serve, socketOf } from './server.ts';
import type { Methods } from './unary.ts';

export const modes = ['controller', 'node', 'all'] as const;
export type Mode = (typeof modes)[number];

export interface CsiOptions extends PlaceRules {
  readonly mode: Mode;
  readonly endpoint: string;
  readonly nodeId: string;
  readonly keeperSocket: string;
  readonly kubeletDirectory: string;
  readonly stateDirectory: string | undefined;
  /** In a cluster, with an account there: declared file systems and Events. */
  readonly kube: KubeClient | undefined;
  /** ConfigMap of the pod's namespace, in which Secrets with the finalizer are noted; undefined: none gets one. */
  readonly secretFinalizer?: string | undefined;
  /** Of mounts, where the node has SELinux. */
  readonly selinuxLabel?: string | undefined;
}

const MAX_NODE_ID = 192;

export interface RunningCsi {
  close(): Promise<void>;
}

export async function startCsi(options: CsiOptions): Promise<RunningCsi> {
  checkOptions(options);
  // Secrets pass through this process: no core file, and nobody else's debugger.
  native.setDumpable(false);
  const { nodeId, embedded, kubeletDirectory, endpoints, ambientCredentials } = options;
  const rules = { embedded, endpoints, ambientCredentials };
  const services: Partial<Record<ServiceName, Methods>> = {
    Identity: identityMethods({ controller: options.mode !== 'node', embedded: embedded !== undefined }),
  };
  let keeper: Keeper | undefined;
  let holder: DescriptorHolder | undefined;
  let lostMounts: LostMounts | undefined;
  const { kube } = options;
  const notices = kube === undefined ? loggedNotices : recordedNotices(kube, DRIVER_NAME, nodeId || hostname());
  const { secretFinalizer: record } = options;
  const protection =
    kube === undefined || record === undefined
      ? undefined
      : new SecretProtection({ client: kube, record, host: hostname(), notices });
  if (options.mode !== 'node') services.Controller = controllerMethods({ nodeId, kube, notices, protection, ...rules });
  if (options.mode !== 'controller') {
    const directory = options.stateDirectory ?? join(dirname(socketOf(options.endpoint)), 'state');
    keeper = connectKeeper(options.keeperSocket);
    // Beside the keeper's other socket. A keeper that hands nothing over does not listen there.
    holder = new DescriptorHolder({ socket: join(dirname(options.keeperSocket), 'keeper-fd.sock') });
    const state = await NodeState.open(directory);
    const label = hasSelinux() ? options.selinuxLabel : undefined;
    const node = { nodeId, kubeletDirectory, notices, selinuxLabel: label, ...rules };
    services.Node = new NodeService(keeper, state, node).methods();
    lostMounts = new LostMounts(keeper, state, notices);
  }
  const server = await serve(options.endpoint, services);
  lostMounts?.start();
  protection?.start();
  log.info('serving', {
    mode: options.mode,
    endpoint: options.endpoint,
    node: nodeId,
    embedded: embedded !== undefined,
  });
  return {
    close: async () => {
      lostMounts?.stop();
      await server.close();
      await protection?.stop();
      await notices.flush();
      kube?.close();
      keeper?.close();
      holder?.close();
    },
  };
}

/** The kernel refuses a label where it has no SELinux; the folder is there as soon as it has. */
const hasSelinux = (): boolean => existsSync('/sys/fs/selinux');

function checkOptions(options: CsiOptions): void {
  if (options.selinuxLabel !== undefined && !selinuxLabel.test(options.selinuxLabel))
    throw fail('bad-input', '--selinux-label: wanted user:role:type:level');
  if (options.secretFinalizer !== undefined && (options.kube === undefined || options.mode === 'node'))
    throw fail('bad-input', '--secret-finalizer: wanted a controller, and --kube');
  const needsNode = options.mode !== 'controller' || options.embedded !== undefined;
  if (needsNode && options.nodeId === '') throw fail('bad-input', '--node-id: is missing');
  if (options.nodeId.length > MAX_NODE_ID) throw fail('bad-input', `--node-id: longer than ${MAX_NODE_ID} characters`);
  if (options.embedded !== undefined && !TOPOLOGY_NODE_ID.test(options.nodeId))
    throw fail('bad-input', '--node-id: embedded mode uses it as a topology value, so up to 63 letters, digits, . _ -');
}
