// The controller's hand on whole file systems: opens their metadata without session and key, and makes those that are
// missing. The record is written before any object, so that a repeated call always finds what exists.
import { fail, hasCode } from '../base/errors.ts';
import type { FormatOptions } from '../config/format-options.ts';
import type { ProvisionerSecret } from '../config/secret.ts';
import { readSetting, type VolumeSetting } from '../filesystem/meta/read-setting.ts';
import { completeTables } from '../filesystem/meta/schema.ts';
import type { Engine } from '../filesystem/sql/op.ts';
import { openEngine } from '../filesystem/sql/open-engine.ts';
import type { StoreSettings } from '../filesystem/store/store.ts';
import type { Place } from './connection.ts';
import { inspectFiles, makeFolders } from './embedded.ts';

export interface OpenFileSystem extends VolumeSetting {
  /** To be closed by whoever got it. */
  readonly engine: Engine;
}

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

export function storeSettingsOf(place: Place): StoreSettings {
  return {
    storage: place.storage,
    bucket: place.bucket,
    ...(place.accessKey === undefined ? {} : { accessKey: place.accessKey }),
    ...(place.secretKey === undefined ? {} : { secretKey: place.secretKey }),
  };
}

/** Undefined when there is none at the place. */
export async function findFileSystem(place: Place, embedded: string | undefined): Promise<OpenFileSystem | undefined> {
  if (embedded !== undefined && (await inspectFiles(embedded, place.files.database, place.files.bucket)) === 'missing')
    return undefined;
  const engine = await openEngine(place.metaUrl);
  try {
    const found = await readSetting(engine);
    // A file system that the original client made has none of our tables yet.
    await completeTables(engine);
    return { ...found, engine };
  } catch (thrown) {
    await engine.close();
    if (hasCode(thrown, 'not-formatted')) return undefined;
    throw thrown;
  }
}
