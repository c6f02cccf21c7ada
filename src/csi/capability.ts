// Access modes, file system types and mount flags that a volume can have.
import { fail } from '../base/errors.ts';
import { type MountOptions, parseMountOptions } from '../config/mount-options.ts';
import type { Capability } from './messages.ts';

const singleNode: ReadonlySet<string> = new Set([
  'SINGLE_NODE_WRITER',
  'SINGLE_NODE_READER_ONLY',
  'SINGLE_NODE_SINGLE_WRITER',
  'SINGLE_NODE_MULTI_WRITER',
]);
const multiNode: ReadonlySet<string> = new Set([
  'MULTI_NODE_READER_ONLY',
  'MULTI_NODE_SINGLE_WRITER',
  'MULTI_NODE_MULTI_WRITER',
]);
const readOnlyModes: ReadonlySet<string> = new Set(['SINGLE_NODE_READER_ONLY', 'MULTI_NODE_READER_ONLY']);
/** Types that PVs of this driver and of the JuiceFS CSI driver carry; there is only one kind of mount. */
const types: ReadonlySet<string> = new Set(['', 'pageseal', 'fuse.pageseal', 'juicefs', 'fuse', 'fuse.juicefs']);

export interface Access {
  readonly mode: string;
  readonly readOnly: boolean;
  /** At most one pod of the node (ReadWriteOncePod). */
  readonly singleWriter: boolean;
  readonly options: MountOptions;
}

/** `embedded`: the database is on one node, so other nodes cannot use the volume. */
export function parseCapability(capability: Capability, embedded: boolean): Access {
  if (capability.block) throw fail('unsupported', 'volume capability: block access is not offered');
  const { mode } = capability.accessMode;
  if (multiNode.has(mode) && embedded)
    throw fail('unsupported', `access mode ${mode}: volumes of embedded mode live on one node`);
  if (!singleNode.has(mode) && !multiNode.has(mode)) throw fail('unsupported', `access mode ${mode.slice(0, 64)}`);
  const type = capability.mount?.fsType ?? '';
  if (!types.has(type)) throw fail('unsupported', `file system type ${type.slice(0, 64)}: wanted none or pageseal`);
  if ((capability.mount?.volumeMountGroup ?? '') !== '')
    throw fail('unsupported', 'volume mount group: fsGroup is applied by kubelet (fsGroupPolicy File)');
  const options = parseMountOptions(capability.mount?.mountFlags ?? []);
  return {
    mode,
    readOnly: readOnlyModes.has(mode) || options.readOnly,
    singleWriter: mode === 'SINGLE_NODE_SINGLE_WRITER',
    options,
  };
}
