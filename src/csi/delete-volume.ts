// DeleteVolume: marks the row, removes what belongs to it, then the row; a file system that was made for this volume goes
// with its last one. OK is answered only when nothing is left, and a call that was cut short is finished by the next.
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { storeSettingsOf } from '../connection/file-system.ts';
import type { Place } from '../connection/place.ts';
import { destroyData, destroyLeftovers, destroyMetadata } from '../filesystem/removal/destroy.ts';
import { hasOtherVolumes, isMounted, markDeleting, type VolumeRow } from '../filesystem/volumes.ts';
import { removeVolumeTree, type WithoutKey } from '../filesystem/without-key.ts';
import type { ControllerOptions } from './controller.ts';
import { type Located, locate } from './existing-volume.ts';
import type * as messages from './messages.ts';
import type { Notice } from './notices.ts';

export async function handleDeleteVolume(request: messages.DeleteVolume, options: ControllerOptions): Promise<object> {
  const located = await locate(request.volumeId, request.secrets, options);
  if (located === undefined) return {};
  if (located.fileSystem === undefined) {
    // Metadata goes last, so objects are gone too; a crash may have left the emptied database's files and the test object
    // of a format that never ended.
    if (located.perVolume) await finish(located.place, options);
    return {};
  }
  const removed = await remove(request.volumeId, located, located.fileSystem).finally(() =>
    located.fileSystem?.engine.close(),
  );
  if (removed.objects !== undefined) await removeMetadata(located.place, options);
  if (removed.row !== undefined) options.notices.tell(noticeOf(removed.row, removed.objects));
  return {};
}

/** The request's name is the PersistentVolume's, and that is still there: the provisioner removes it after our answer. */
function noticeOf({ id, request }: VolumeRow, objects: number | undefined): Notice {
  const what =
    objects === undefined
      ? 'its directory in the file system, whose objects go with the next clean-up'
      : `its file system: metadata and ${objects} objects, and a listing found none left`;
  return {
    about: { kind: 'PersistentVolume', name: request },
    volume: id,
    type: 'Normal',
    reason: 'VolumeDeleted',
    message: `removed the volume: ${what}`,
  };
}

async function finish(place: Place, options: ControllerOptions): Promise<void> {
  const { name = '' } = place;
  await destroyLeftovers({ metaUrl: place.metaUrl, name, store: storeSettingsOf(place) });
  await removeMetadata(place, options);
}

const removeMetadata = ({ metaUrl, ownSchema }: Place, { embedded }: ControllerOptions): Promise<void> =>
  destroyMetadata(metaUrl, { kept: embedded, ownSchema });

interface Removed {
  readonly row: VolumeRow | undefined;
  /** Of the whole file system, whose metadata may go now; undefined: others are in it. */
  readonly objects: number | undefined;
}

async function remove(volumeId: string, located: Located, fileSystem: WithoutKey): Promise<Removed> {
  const { engine, setting } = fileSystem;
  const store = storeSettingsOf(located.place);
  if (located.perVolume && (await isMounted(engine)))
    throw fail('failed-precondition', 'volume: a node still has it mounted; it goes when that session has ended');
  const row = await markDeleting(engine, volumeId);
  const inUse = await hasOtherVolumes(engine, volumeId);
  if (!located.perVolume || inUse) {
    if (row !== undefined) await removeVolumeTree(located.place.metaUrl, store, volumeId);
    return { row, objects: undefined };
  }
  const objects = await destroyData(engine, { metaUrl: located.place.metaUrl, name: setting.name, store });
  log.info('removed a file system', { volume: volumeId, objects });
  return { row, objects };
}
