// CreateVolume: the file system (found, or made for this volume), then directory, quota and row. Everything follows from
// the request, so a repeated call finds what an earlier one made, wherever that one was cut short.
import { createHash } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { HOST_TOPOLOGY } from '../config/driver.ts';
import { mergeFormatOptions } from '../config/format-options.ts';
import { directoryOf } from '../config/path-pattern.ts';
import { type ProvisionerSecret, parseProvisionerSecret } from '../config/secret.ts';
import { FILE_SYSTEM_PLACEHOLDER } from '../config/secret-names.ts';
import { parseStorageClass, type StorageClass } from '../config/storage-class.ts';
import { claimNames, SIDECAR_PREFIX } from '../config/storage-class-names.ts';
import { volumeContextOf } from '../config/volume-context.ts';
import { identityOf, isPerVolume, type Place, placeOf } from '../connection/place.ts';
import { createVolume, type VolumeRow } from '../filesystem/volumes.ts';
import type { WithoutKey } from '../filesystem/without-key.ts';
import { parseCapability } from './capability.ts';
import type { ControllerOptions } from './controller.ts';
import { readyFileSystem } from './declared.ts';
import { declaredFileSystem, ensureFileSystem } from './file-systems.ts';
import type * as messages from './messages.ts';
import type { Notices } from './notices.ts';
import { deriveUuid, digestOfName, fileSystemNameOf, formatVolumeId } from './volume-id.ts';

export interface Wanted {
  readonly digest: string;
  readonly perVolume: boolean;
  readonly place: Place;
  readonly storageClass: StorageClass;
  readonly secret: ProvisionerSecret;
  readonly capacity: Capacity;
  readonly ignoredMountOptions: readonly string[];
}

interface Capacity {
  /** 0: any. */
  readonly required: bigint;
  readonly limit: bigint;
}

export async function handleCreateVolume(request: messages.CreateVolume, options: ControllerOptions): Promise<object> {
  const wanted = parse(request, options);
  if (options.protection === undefined) return makeVolume(request, wanted, options);
  const { name, secrets } = request;
  const volume = { name, claim: wanted.storageClass.claim, keys: Object.keys(secrets) };
  return options.protection.during(volume, () => makeVolume(request, wanted, options));
}

async function makeVolume(request: messages.CreateVolume, wanted: Wanted, options: ControllerOptions): Promise<object> {
  const fileSystem = await fileSystemOf(wanted, options);
  try {
    const directory =
      wanted.storageClass.pathPattern === undefined
        ? `/${wanted.digest}`
        : directoryOf(wanted.storageClass.pathPattern, wanted.storageClass.claim);
    const id = formatVolumeId({ uuid: fileSystem.setting.uuid, digest: wanted.digest });
    const params = digestOfParameters(request, directory);
    const { required } = wanted.capacity;
    const { uuid } = fileSystem.setting;
    const spec = { id, request: request.name, directory, params, capacity: required, uuid };
    const row = await createVolume(fileSystem.engine, spec);
    checkExisting(row, params, wanted.capacity);
    tellIgnored(id, wanted, options.notices);
    return answer(row, directory, wanted, options, fileSystem.setting.uuid);
  } finally {
    await fileSystem.engine.close();
  }
}

function parse(request: messages.CreateVolume, options: ControllerOptions): Wanted {
  if (request.volumeContentSource) throw fail('unsupported', 'volume content source: not offered yet');
  if (Object.keys(request.mutableParameters).length > 0)
    throw fail('unsupported', 'mutable parameters: none are known (VolumeAttributesClass)');
  const storageClass = parseStorageClass(request.parameters);
  const capabilities = request.volumeCapabilities.map((each) => parseCapability(each, options.embedded !== undefined));
  checkTopology(request.accessibilityRequirements, options);
  // Also where everything has a default: without one, deletion could not tell a lost Secret from none.
  if (Object.keys(request.secrets).length === 0)
    throw fail('bad-input', 'no Secret came with the call', {
      hint: `set ${SIDECAR_PREFIX}provisioner-secret-name and -namespace in the StorageClass`,
    });
  const secret = parseProvisionerSecret(request.secrets);
  checkKeys(storageClass, secret);
  const digest = digestOfName(request.name);
  const perVolume = isPerVolume(secret.connection, options.embedded);
  const fileSystem = perVolume ? fileSystemNameOf(digest) : undefined;
  const place = placeOf(secret.connection, { ...options, fileSystem });
  if (place.name === undefined) throw fail('bad-input', 'secret: name: is missing');
  if (storageClass.fileSystem !== undefined) checkDeclaredClass(storageClass, perVolume);
  const ignoredMountOptions = [...new Set(capabilities.flatMap((each) => each.options.ignored))];
  const capacity = capacityOf(request.capacityRange);
  return { digest, perVolume, place, storageClass, secret, capacity, ignoredMountOptions };
}

/** What a FileSystem lays down, its classes do not. */
function checkDeclaredClass({ fileSystem, format }: StorageClass, perVolume: boolean): void {
  const [name] = Object.keys(format);
  if (name !== undefined)
    throw fail('bad-input', `storage class: ${name}: is laid down by FileSystem ${fileSystem}; leave it out here`);
  if (perVolume)
    throw fail(
      'bad-input',
      `secret: ${FILE_SYSTEM_PLACEHOLDER} makes a file system per claim, but the storage class names ${fileSystem}`,
    );
}

async function fileSystemOf(wanted: Wanted, options: ControllerOptions): Promise<WithoutKey> {
  const { place, perVolume, storageClass, secret } = wanted;
  const own = perVolume ? [wanted.digest] : [];
  const asWanted = {
    place,
    embedded: options.embedded,
    uuid: deriveUuid([...own, ...identityOf(place)]),
    mustMatchUuid: perVolume,
    encryption: storageClass.encryption,
    secret,
    format: mergeFormatOptions(storageClass.format, secret.formatOptions),
  };
  if (storageClass.fileSystem === undefined) return ensureFileSystem(asWanted);
  return declaredFileSystem(await readyFileSystem(options.kube, storageClass.fileSystem), asWanted);
}

/** Once per claim, and all of them in one. */
function tellIgnored(volume: string, { storageClass, ignoredMountOptions }: Wanted, notices: Notices): void {
  const { ignored, claim } = storageClass;
  const parts = [
    ...(ignored.length > 0 ? [`parameters ${ignored.join(', ')}`] : []),
    ...(ignoredMountOptions.length > 0 ? [`mount options ${ignoredMountOptions.join(', ')}`] : []),
  ];
  if (parts.length === 0) return;
  const { namespace, name } = claim;
  notices.tell({
    about: name === undefined ? undefined : { kind: 'PersistentVolumeClaim', namespace, name },
    volume,
    type: 'Normal',
    reason: 'IgnoredSettings',
    message: `of the storage class, without a meaning here and ignored: ${parts.join('; ')}`,
  });
}

function checkKeys(storageClass: StorageClass, secret: ProvisionerSecret): void {
  const hasKey = secret.publicKey !== undefined || secret.metadataKey !== undefined || secret.hasPrivateKey;
  if (storageClass.encryption === 'none' && hasKey)
    throw fail('bad-input', 'storage class: encryption: none, but the Secret holds a key; remove one of the two');
}

export function capacityOf(range: messages.CapacityRange | null | undefined): Capacity {
  const least = range?.requiredBytes ?? 0n;
  const limit = range?.limitBytes ?? 0n;
  // A limit alone is the size too: a volume without quota would be larger.
  const required = least === 0n ? limit : least;
  if (required < 0n || limit < 0n) throw fail('bad-input', 'capacity range: is negative');
  if (limit > 0n && required > limit) throw fail('bad-input', 'capacity range: the limit is below what is required');
  return { required, limit };
}

/** An embedded volume can only be where the database is. */
function checkTopology(wanted: messages.TopologyRequirement | null | undefined, options: ControllerOptions): void {
  if (options.embedded === undefined || !wanted || wanted.requisite.length === 0) return;
  if (wanted.requisite.some(({ segments }) => segments[HOST_TOPOLOGY] === options.nodeId)) return;
  throw fail('ENOSPC', `topology: volumes of embedded mode exist on node ${options.nodeId} only`);
}

/** Names of PVC and PV differ between clusters' retries of the same volume only if somebody renames things; left out. */
function digestOfParameters(request: messages.CreateVolume, directory: string): string {
  const left = Object.entries(request.parameters)
    .filter(([name]) => !(Object.values(claimNames) as string[]).includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([left, directory]))
    .digest('hex');
}

/** The row may be from an earlier call: it must be what this one wants. */
function checkExisting(row: VolumeRow, params: string, capacity: Capacity): void {
  if (row.state !== 'ready') throw fail('busy', 'volume: is being deleted');
  if (row.params !== params) throw fail('conflict', 'volume: exists with other parameters');
  const tooSmall = row.capacity === 0n ? capacity.required > 0n : capacity.required > row.capacity;
  const tooLarge = capacity.limit > 0n && (row.capacity === 0n || row.capacity > capacity.limit);
  if (tooSmall || (tooLarge && row.capacity > 0n)) throw fail('conflict', 'volume: exists with another capacity');
}

function answer(row: VolumeRow, directory: string, wanted: Wanted, options: ControllerOptions, uuid: string): object {
  const volumeContext = volumeContextOf({
    fileSystem: wanted.perVolume ? fileSystemNameOf(wanted.digest) : undefined,
    directory,
    uuid,
    encryption: wanted.storageClass.encryption,
  });
  const host = { segments: { [HOST_TOPOLOGY]: options.nodeId } };
  return {
    volume: {
      volumeId: row.id,
      capacityBytes: row.capacity.toString(),
      volumeContext,
      accessibleTopology: options.embedded === undefined ? [] : [host],
    },
  };
}
