// Destroys a whole file system by name of its UUID: ledger, objects, tables. In this order, so that no page opens once it
// has begun, and so that the record, by which a repeated call finds its way, goes last.
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import { refuseOtherOwner } from '../encryption/standing.ts';
import type { Owner } from '../meta/ledger-setting.ts';
import { readSettingOf, type VolumeSetting } from '../meta/read-setting.ts';
import { dropTables, hasOtherTables } from '../meta/schema.ts';
import { liveSessions, otherVolumes } from '../meta/volume-rows.ts';
import { type Op, read } from '../sql/op.ts';
import { parseMetaUrl } from '../sql/url.ts';
import type { StoreSettings } from '../store/store.ts';
import { storeSettings } from '../store-settings.ts';
import { openWithoutKey, type WithoutKey } from '../without-key.ts';
import { destroyData, destroyMetadata } from './destroy.ts';

export interface DestroyOptions {
  readonly metaUrl: string;
  readonly uuid: string;
  /** Also while clients have it mounted, or volumes of pods are in it. */
  readonly force?: boolean;
  /** Who asks; given, only what is his is destroyed without force. */
  readonly owner?: Owner;
  /** Overrides of the record. */
  readonly store?: Partial<StoreSettings>;
  readonly onProgress?: OnProgress;
}

export interface Destroyed {
  readonly name: string;
  readonly uuid: string;
  readonly objects: number;
}

/** The file system that is meant, or what speaks against it. Changes nothing. */
export async function checkDoomed(metaUrl: string, uuid: string): Promise<VolumeSetting> {
  const volume = await readSettingOf(metaUrl);
  const { setting } = volume;
  if (setting.uuid === uuid.toLowerCase()) return volume;
  throw fail('bad-input', `destroy file system ${setting.name}: its UUID is ${setting.uuid}, not ${uuid}`, {
    hint: 'nothing was changed; give the UUID of the volume that is to go',
  });
}

/** May be repeated when it was cut short. */
export async function destroyVolume(options: DestroyOptions): Promise<Destroyed> {
  const { metaUrl, uuid, onProgress } = options;
  await checkDoomed(metaUrl, uuid);
  const found = await openWithoutKey(metaUrl);
  if (found === undefined) throw fail('not-formatted', 'destroy: the metadata holds no file system');
  const { engine, setting } = found;
  try {
    if (options.force !== true) {
      if (options.owner !== undefined) refuseOtherOwner('destroy', found, options.owner);
      await refuseInUse(found);
    }
    const store = storeSettings(found, options.store);
    await refuseMissingStore(store, setting.name);
    const objects = await destroyData(
      engine,
      { metaUrl, name: setting.name, store },
      { onProgress: (deleted) => onProgress?.(deleted, undefined) },
    );
    await dropTables(engine);
    // Other file systems may be in the same database, under table prefixes, or whatever else.
    const shared = await hasOtherTables(engine);
    await engine.close();
    const location = parseMetaUrl(metaUrl);
    if (!shared && location.kind === 'sqlite' && location.tablePrefix === '')
      await destroyMetadata(metaUrl, { kept: dirname(location.file), ownSchema: undefined });
    return { name: setting.name, uuid: setting.uuid, objects };
  } finally {
    await engine.close();
  }
}

async function refuseInUse({ engine, setting }: WithoutKey): Promise<void> {
  const now = nowNs() / 1_000_000_000n;
  const [sessions, volumes] = await engine.view(function* (): Op<[bigint, bigint]> {
    const [[live = 0n], [others = 0n]] = yield* read(liveSessions(now), otherVolumes(''));
    return [live, others];
  });
  const what = `destroy file system ${setting.name}`;
  if (sessions > 0n)
    throw fail('failed-precondition', `${what}: ${sessions} clients have it mounted`, {
      hint: 'unmount them; pageseal status lists them, and one that died goes a minute later; --force does not look',
    });
  if (volumes > 0n)
    throw fail('failed-precondition', `${what}: ${volumes} volumes or snapshots of a cluster are in it`, {
      hint: 'delete their claims; --force does not look',
    });
}

/** A disk that is not mounted must not be taken for objects that are gone; a folder that is gone with its parent there is. */
async function refuseMissingStore(store: StoreSettings, name: string): Promise<void> {
  if (store.storage !== 'file') return;
  const parent = dirname(store.bucket.replace(/\/+$/, ''));
  await stat(parent).catch((cause: unknown) => {
    throw fail('store-unavailable', `destroy file system ${name}: ${parent} cannot be reached`, {
      cause,
      hint: 'is the disk mounted? --bucket names another place',
    });
  });
}
