// The Controller service. It holds no state and no private key: every call finds its file system through the Secret that
// comes with it. Volumes cannot be listed for that reason (LIST_VOLUMES carries no Secret), and nothing is attached.

import { fail } from '../base/errors.ts';
import type { PlaceRules } from '../connection/place.ts';
import { expandVolume, findVolume } from '../filesystem/volumes.ts';
import type { KubeClient } from '../kube/client.ts';
import { parseCapability } from './capability.ts';
import { capacityOf, handleCreateVolume } from './create-volume.ts';
import { handleDeleteVolume } from './delete-volume.ts';
import { locate } from './existing-volume.ts';
import * as messages from './messages.ts';
import type { Notices } from './notices.ts';
import type { SecretProtection } from './secret-finalizer/protection.ts';
import { type Methods, rpc } from './unary.ts';
import { digestOfName, parseVolumeId } from './volume-id.ts';

export interface ControllerOptions extends PlaceRules {
  /** In embedded mode the node that everything is on. */
  readonly nodeId: string;
  /** Undefined: not in a cluster, or not to be asked. */
  readonly kube: KubeClient | undefined;
  readonly notices: Notices;
  /** Undefined: Secrets are left as they are. */
  readonly protection: SecretProtection | undefined;
}

const CAPABILITIES = ['CREATE_DELETE_VOLUME', 'EXPAND_VOLUME', 'SINGLE_NODE_MULTI_WRITER'];

/** Creation knows the name only, all else the id; both lead to the same digest, and that is what is locked. */
const lockOf = ({ volumeId }: { readonly volumeId: string }): string => parseVolumeId(volumeId)?.digest ?? volumeId;
const volume = ({ volumeId }: { readonly volumeId: string }): string => volumeId;

export function controllerMethods(options: ControllerOptions): Methods {
  return {
    controllerGetCapabilities: rpc({
      request: messages.empty,
      quiet: true,
      run: async () => ({ capabilities: CAPABILITIES.map((type) => ({ rpc: { type } })) }),
    }),
    createVolume: rpc({
      request: messages.createVolume,
      volume: ({ name }) => digestOfName(name),
      lock: ({ name }) => digestOfName(name),
      run: (request) => handleCreateVolume(request, options),
    }),
    deleteVolume: rpc({
      request: messages.deleteVolume,
      volume,
      lock: lockOf,
      run: (request) => handleDeleteVolume(request, options),
    }),
    controllerExpandVolume: rpc({
      request: messages.expandVolume,
      volume,
      lock: lockOf,
      run: (request) => handleExpandVolume(request, options),
    }),
    validateVolumeCapabilities: rpc({
      request: messages.validateCapabilities,
      volume,
      run: (request) => handleValidate(request, options),
    }),
  };
}

const unknownVolume = (): Error => fail('not-found', 'volume: does not exist');

/** The quota is in the metadata, so nodes have nothing to do. */
async function handleExpandVolume(request: messages.ExpandVolume, options: ControllerOptions): Promise<object> {
  const { required, limit } = capacityOf(request.capacityRange);
  if (required === 0n) throw fail('bad-input', 'capacity range: is missing');
  const located = await locate(request.volumeId, request.secrets, options);
  if (located?.fileSystem === undefined) throw unknownVolume();
  const { engine } = located.fileSystem;
  try {
    const row = await findVolume(engine, request.volumeId);
    if (row === undefined) throw unknownVolume();
    if (limit > 0n && row.capacity > limit) throw fail('ERANGE', 'capacity range: the volume is larger than the limit');
    const capacity = await expandVolume(engine, request.volumeId, required);
    // An unlimited volume stays unlimited, and an answer of 0 would be no answer.
    return { capacityBytes: (capacity === 0n ? required : capacity).toString(), nodeExpansionRequired: false };
  } finally {
    await engine.close();
  }
}

/** Confirmed is what was asked, or nothing with the reason. */
async function handleValidate(request: messages.ValidateCapabilities, options: ControllerOptions): Promise<object> {
  const located = await locate(request.volumeId, request.secrets, options);
  if (located?.fileSystem === undefined) throw unknownVolume();
  const { engine } = located.fileSystem;
  const row = await findVolume(engine, request.volumeId).finally(() => engine.close());
  if (row === undefined) throw unknownVolume();
  try {
    for (const capability of request.volumeCapabilities) parseCapability(capability, options.embedded !== undefined);
  } catch (thrown) {
    return { message: thrown instanceof Error ? thrown.message : '' };
  }
  const { volumeContext, volumeCapabilities, parameters } = request;
  return { confirmed: { volumeContext, volumeCapabilities, parameters } };
}
