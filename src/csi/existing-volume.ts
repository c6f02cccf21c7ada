// From a volume id and a Secret to the open metadata that holds the volume: what deletion, expansion and validation share.
import { fail } from '../base/errors.ts';
import { parseProvisionerSecret, type SecretMap } from '../config/secret.ts';
import { isPerVolume, type Place, placeOf } from '../connection/place.ts';
import type { WithoutKey } from '../filesystem/without-key.ts';
import type { ControllerOptions } from './controller.ts';
import { findFileSystem } from './file-systems.ts';
import { fileSystemNameOf, parseVolumeId, type VolumeId } from './volume-id.ts';

export interface Located {
  readonly id: VolumeId;
  readonly place: Place;
  readonly perVolume: boolean;
  /** Undefined: there is no file system at the place. To be closed by the caller. */
  readonly fileSystem: WithoutKey | undefined;
}

/** Undefined for an id that this driver never gave out. */
export async function locate(
  volumeId: string,
  secrets: SecretMap,
  options: ControllerOptions,
): Promise<Located | undefined> {
  const id = parseVolumeId(volumeId);
  if (id === undefined) return undefined;
  if (Object.keys(secrets).length === 0)
    throw fail('failed-precondition', 'no Secret came with the call, so the volume cannot be found', {
      hint: 'restore the provisioner Secret that the StorageClass or the PV names',
    });
  const { connection } = parseProvisionerSecret(secrets);
  const perVolume = isPerVolume(connection, options.embedded);
  const fileSystem = perVolume ? fileSystemNameOf(id.digest) : undefined;
  const place = placeOf(connection, { ...options, fileSystem });
  const found = await findFileSystem(place, options.embedded);
  if (found === undefined || found.setting.uuid === id.uuid) return { id, place, perVolume, fileSystem: found };
  await found.engine.close();
  throw fail('failed-precondition', `the Secret leads to file system ${found.setting.uuid}, not to ${id.uuid}`, {
    hint: 'the Secret was changed since the volume was made, or belongs to another one',
  });
}
