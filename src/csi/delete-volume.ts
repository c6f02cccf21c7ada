// DeleteVolume: marks the row, removes what belongs to it, then the row; a file system that was made for this volume goes
// with its last one. OK is answered only when nothing is left, and a call that was cut short is finished by the next.
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { storeSettingsOf } from '../connection/file-system.ts';
import type { Place } from '../connection/place.ts';
import { destroyData, destroyLeftovers, destroyMetadata } from '../filesystem/removal/destroy.ts';
import { hasOtherVolumes, isMounted, markDeleting } from '../filesystem/volumes.ts';
import { removeVolumeTree, type WithoutKey } from '../filesystem/without-key.ts';
import type { ControllerOptions } from './controller.ts';
import { type Located, locate } from './existing-volume.ts';
import type * as messages from './messages.ts';

export async function handleDeleteVolume(request: messages.DeleteVolume, options: ControllerOptions): Promise<object> {
  const located = await locate(request.volumeId, request.secrets, options);
  if (located === undefined) return {};
  if (located.fileSystem === undefined) {
    // Metadata goes last, so objects are gone too; a crash may have left the emptied database's files and the test object
    // of a format that never ended.
    if (located.perVolume) await finish(located.place, options);
    return {};
  }
  const gone = await remove(request.volumeId, located, located.fileSystem).finally(() =>
    located.fileSystem?.engine.close(),
  );
  if (gone) await removeMetadata(located.place, options);
  return {};
}

async function finish(place: Place, options: ControllerOptions): Promise<void> {
  const { name = '' } = place;
  await destroyLeftovers({ metaUrl: place.metaUrl, name, store: storeSettingsOf(place) });
  await removeMetadata(place, options);
}

const removeMetadata = ({ metaUrl, ownSchema }: Place, { embedded }: ControllerOptions): Promise<void> =>
  destroyMetadata(metaUrl, { kept: embedded, ownSchema });

/** True when the file system's data is removed too and its metadata may go. */
async function remove(volumeId: string, located: Located, fileSystem: WithoutKey): Promise<boolean> {
  const { engine, setting } = fileSystem;
  const store = storeSettingsOf(located.place);
  if (located.perVolume && (await isMounted(engine)))
    throw fail('failed-precondition', 'volume: a node still has it mounted; it goes when that session has ended');
  const row = await markDeleting(engine, volumeId);
  const inUse = await hasOtherVolumes(engine, volumeId);
  if (!located.perVolume || inUse) {
    if (row !== undefined) await removeVolumeTree(located.place.metaUrl, store, volumeId);
    return false;
  }
  const objects = await destroyData(engine, { metaUrl: located.place.metaUrl, name: setting.name, store });
  log.info('removed a file system', { volume: volumeId, objects });
  return true;
}
