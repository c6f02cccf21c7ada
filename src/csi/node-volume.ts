// One volume as a node's calls describe it: arguments checked, Secret and context turned into what the keeper needs.
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { fail } from '../base/errors.ts';
import { checkedDirectory } from '../config/directory.ts';
import { type NodeSecret, parseNodeSecret, type SecretMap } from '../config/secret.ts';
import { contextOption } from '../config/selinux.ts';
import { parseVolumeContext, type VolumeContext } from '../config/volume-context.ts';
import { type Place, type PlaceRules, placeOf } from '../connection/place.ts';
import type { Connection, MountRequest } from '../keeper/messages.ts';
import { type Access, parseCapability } from './capability.ts';
import { inspectFiles } from './embedded.ts';
import type { Capability } from './messages.ts';
import { fileSystemNameOf, parseVolumeId } from './volume-id.ts';

export interface NodeRules extends PlaceRules {
  readonly kubeletDirectory: string;
  /** Of mounts for which nobody asks for another; undefined: none, as on nodes without SELinux. */
  readonly selinuxLabel?: string | undefined;
}

export interface NodeVolume {
  readonly id: string;
  readonly access: Access;
  readonly context: VolumeContext;
  /** UUID the volume must have; '' for a static volume that names none. */
  readonly uuid: string;
  readonly directory: string;
  /** Made by this driver, not by whoever wrote a PV. */
  readonly isProvisioned: boolean;
}

interface Described {
  readonly volumeId: string;
  readonly volumeCapability: Capability;
  readonly volumeContext: Readonly<Record<string, string>>;
}

export function parseNodeVolume(request: Described, rules: NodeRules): NodeVolume {
  const access = parseCapability(request.volumeCapability, rules.embedded !== undefined);
  const context = parseVolumeContext(request.volumeContext);
  const id = parseVolumeId(request.volumeId);
  if (id !== undefined && context.uuid !== undefined && context.uuid !== id.uuid)
    throw fail('bad-input', 'volume attributes: uuid: is not the one in the volume id');
  if (id !== undefined && context.fileSystem !== undefined && context.fileSystem !== fileSystemNameOf(id.digest))
    throw fail('bad-input', 'volume attributes: fs: does not belong to the volume id');
  return {
    id: request.volumeId,
    access,
    context,
    uuid: id?.uuid ?? context.uuid ?? '',
    directory: directoryOf(context, access, id !== undefined),
    isProvisioned: id !== undefined,
  };
}

/** A static PV may name its directory as the original client's mount option; a provisioned one has its own. */
function directoryOf(context: VolumeContext, access: Access, provisioned: boolean): string {
  const { subdir } = access.options;
  if (subdir === undefined) return context.directory;
  const wanted = checkedDirectory(subdir.startsWith('/') ? subdir : `/${subdir}`, 'mount option subdir');
  if (provisioned || (context.directory !== '/' && context.directory !== wanted))
    throw fail('bad-input', 'mount option subdir: the volume has a directory of its own');
  return wanted;
}

/** Digest of what a repeated call must repeat. Pod details and tokens that kubelet adds may change. */
export function digestOf(request: Described, readOnly: boolean): string {
  const { accessMode, mount } = request.volumeCapability;
  const context = parseVolumeContext(request.volumeContext);
  const text = JSON.stringify([
    accessMode.mode,
    mount?.fsType ?? '',
    mount?.mountFlags ?? [],
    readOnly,
    context.fileSystem ?? '',
    context.directory,
    context.uuid ?? '',
    context.encryption,
  ]);
  return createHash('sha256').update(text).digest('hex');
}

/** The Secret of a call as the keeper takes it; undefined when the call carries none. */
export async function connectionOf(
  volume: NodeVolume,
  secrets: SecretMap,
  rules: NodeRules,
): Promise<Connection | undefined> {
  const secret = parseNodeSecret(secrets);
  if (secret === undefined) return undefined;
  const place = placeOf(secret.connection, { ...rules, fileSystem: volume.context.fileSystem });
  if (rules.embedded !== undefined) {
    const found = await inspectFiles(rules.embedded, place.files);
    if (found === 'missing') throw fail('not-found', 'volume: its metadata is not in the embedded directory');
  }
  return keeperConnection(place, secret, volume.context.encryption === 'required');
}

function keeperConnection(place: Place, secret: NodeSecret, encryptionRequired: boolean): Connection {
  return {
    metaUrl: place.metaUrl,
    storage: place.storage,
    bucket: place.bucket,
    accessKey: place.accessKey ?? '',
    secretKey: place.secretKey ?? '',
    sessionToken: place.sessionToken ?? '',
    caBundle: place.caBundle ?? '',
    rsaKey: secret.privateKey ?? Buffer.alloc(0),
    passphrase: secret.passphrase ?? Buffer.alloc(0),
    hasPassphrase: secret.passphrase !== undefined,
    encryptionRequired,
  };
}

/** Buffers with key material are ours alone and end with the call. */
export function wipe(connection: Connection | undefined): void {
  connection?.rsaKey.fill(0);
  connection?.passphrase.fill(0);
}

export function mountRequest(
  volume: NodeVolume,
  connection: Connection,
  stagingPath: string,
  knownUuid: string,
  label?: string,
): MountRequest {
  return {
    volumeId: volume.id,
    stagingPath,
    connection,
    fileSystemUuid: volume.uuid === '' ? knownUuid : volume.uuid,
    directory: volume.directory,
    readOnly: volume.access.readOnly,
    options: labelled(volume.access.options.worker, label),
  };
}

/** What the kubelet or the PV asks for goes before the driver's own label. */
const labelled = (options: readonly string[], label: string | undefined): readonly string[] =>
  label === undefined || options.some((option) => option.startsWith('context='))
    ? options
    : [...options, contextOption(label)];

/** Text check only: the keeper opens the path without following links. */
export function checkKubeletPath(path: string, rules: NodeRules, what: string): void {
  if (path === posix.normalize(path) && path.startsWith(`${rules.kubeletDirectory}/`) && !path.endsWith('/')) return;
  throw fail('bad-input', `${what}: wanted a path below ${rules.kubeletDirectory}`);
}
