// The controller's hand on whole file systems: finds those that exist, makes those that are missing. The record is written
// before any object, so that a repeated call always finds what exists.

import { fail, hasCode } from '../base/errors.ts';
import type { FormatOptions } from '../config/format-options.ts';
import type { ProvisionerSecret } from '../config/secret.ts';
import { formatKeyOf, storeSettingsOf } from '../connection/file-system.ts';
import type { Place } from '../connection/place.ts';
import { formatVolume } from '../filesystem/format.ts';
import { createSchema } from '../filesystem/places.ts';
import { custodyOf } from '../filesystem/unlock.ts';
import { hasOtherVolumes } from '../filesystem/volumes.ts';
import { isKeyOf, openWithoutKey, type WithoutKey } from '../filesystem/without-key.ts';
import { type Declared, otherPlace } from './declared.ts';
import { inspectFiles, makeFolders } from './embedded.ts';

export interface WantedFileSystem {
  readonly place: Place;
  readonly embedded: string | undefined;
  /** Of a new one. */
  readonly uuid: string;
  /** A file system of one volume is found by its UUID; another one at its place is a conflict. */
  readonly mustMatchUuid: boolean;
  readonly encryption: 'required' | 'none';
  readonly secret: ProvisionerSecret;
  readonly format: FormatOptions;
}

/** No volume has this id, so all of them are others. */
const NO_VOLUME = '';

/** Undefined when there is none at the place. To be closed by whoever got it. */
export async function findFileSystem(place: Place, embedded: string | undefined): Promise<WithoutKey | undefined> {
  if (embedded !== undefined && (await inspectFiles(embedded, place.files)) === 'missing') return undefined;
  return openWithoutKey(place.metaUrl);
}

/** The file system at the place, made now if there is none, and checked to be what the volume's class wants. */
export async function ensureFileSystem(wanted: WantedFileSystem): Promise<WithoutKey> {
  const { place, embedded } = wanted;
  const existing = await findFileSystem(place, embedded);
  if (existing !== undefined)
    return checked(existing, async () => {
      checkFound(existing, wanted);
      await finishFormat(existing, wanted);
    });
  if (embedded !== undefined) await makeFolders(embedded, place.files);
  if (place.ownSchema !== undefined) await createSchema(place.metaUrl, place.ownSchema);
  // Somebody else's call may have been faster; what it made is checked like any other.
  await format(wanted, { noUpdate: true });
  const made = await findFileSystem(place, embedded);
  if (made === undefined) throw fail('metadata-unavailable', 'file system: is gone right after it was made');
  return checked(made, () => checkFound(made, wanted));
}

/** A call that was cut short may have left the record without the object that comes after it; no volume came before that. */
async function finishFormat({ engine, ours }: WithoutKey, wanted: WantedFileSystem): Promise<void> {
  if (ours.owner !== 'csi' || (await hasOtherVolumes(engine, NO_VOLUME))) return;
  try {
    await format(wanted, { noUpdate: false });
  } catch (thrown) {
    // Of another class, which is welcome to it.
    if (!hasCode(thrown, 'already-formatted')) throw thrown;
  }
}

/** The declared file system, which somebody else has made, checked likewise. */
export async function declaredFileSystem(declared: Declared, wanted: WantedFileSystem): Promise<WithoutKey> {
  const found = await findFileSystem(wanted.place, wanted.embedded);
  if (found === undefined) throw otherPlace(declared, 'no file system');
  return checked(found, () => {
    const { uuid } = found.setting;
    if (uuid !== declared.uuid) throw otherPlace(declared, `file system ${uuid}`);
    checkFound(found, wanted);
  });
}

async function checked(found: WithoutKey, check: () => void | Promise<void>): Promise<WithoutKey> {
  try {
    await check();
    return found;
  } catch (thrown) {
    await found.engine.close();
    throw thrown;
  }
}

async function format(
  { place, uuid, encryption, secret, format: settings }: WantedFileSystem,
  { noUpdate }: { readonly noUpdate: boolean },
): Promise<void> {
  const { algorithm, ...others } = settings;
  await formatVolume({
    metaUrl: place.metaUrl,
    name: place.name ?? '',
    uuid,
    store: storeSettingsOf(place),
    key: encryption === 'none' ? { kind: 'none' } : formatKeyOf(secret),
    owner: 'csi',
    ...others,
    ...(algorithm === undefined ? {} : { encryptAlgo: algorithm }),
    noUpdate,
  });
}

function checkFound(found: WithoutKey, wanted: WantedFileSystem): void {
  const { setting } = found;
  if (wanted.mustMatchUuid && setting.uuid !== wanted.uuid)
    throw fail('conflict', 'volume: its metadata and bucket already hold a file system that another request made');
  const isEncrypted = custodyOf(found) !== 'unencrypted';
  if (isEncrypted !== (wanted.encryption === 'required'))
    throw fail(
      'encryption-mismatch',
      `file system ${setting.name}: is ${isEncrypted ? '' : 'not '}encrypted, and the storage class says ${wanted.encryption}`,
    );
  const { publicKey } = wanted.secret;
  if (publicKey !== undefined && !isKeyOf(found, publicKey))
    throw fail('wrong-key', `file system ${setting.name}: has another key than the Secret's public one`);
}
