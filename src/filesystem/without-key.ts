// A file system as those see it who may not open it: its record, its volumes, its objects by name. Metadata is opened
// without a session and pages are deleted, never read; no key is taken.
import { hasCode } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { readPublicKey } from './keys/read-key.ts';
import { type OpenedMeta, openMeta } from './meta/open-meta.ts';
import { readSetting, type VolumeSetting } from './meta/read-setting.ts';
import { completeTables } from './meta/schema.ts';
import type { PageStore } from './page/page-store.ts';
import { openPageStore } from './page/sealed-page-store.ts';
import { removeVolume } from './removal/remove-volume.ts';
import type { Engine } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';
import { openStore } from './store/open-store.ts';
import type { ObjectStore, StoreSettings } from './store/store.ts';
import { storeSettings } from './store-settings.ts';

export type { StoreSettings } from './store/store.ts';

export interface WithoutKey extends VolumeSetting {
  /** To be closed by whoever got it. */
  readonly engine: Engine;
}

/** Undefined when the metadata holds no file system. */
export async function openWithoutKey(metaUrl: string): Promise<WithoutKey | undefined> {
  const engine = await openEngine(metaUrl);
  try {
    const found = await readSetting(engine);
    // One that the original client made has none of our tables yet.
    await completeTables(engine);
    return { ...found, engine };
  } catch (thrown) {
    await engine.close();
    if (hasCode(thrown, 'not-formatted')) return undefined;
    throw thrown;
  }
}

/** Whether a public key (PEM) fits; true as long as nobody has claimed the file system. */
export function isKeyOf({ ours }: Pick<VolumeSetting, 'ours'>, publicKey: string): boolean {
  const { check } = readPublicKey(Buffer.from(publicKey));
  return ours.keyCheck === undefined || ours.keyCheck.equals(check);
}

/** Metadata with a session and objects by name, for tools that move, count or delete and never read a page. */
export interface KeylessVolume {
  readonly engine: Engine;
  readonly store: ObjectStore;
  /** For `remove` only. */
  readonly pages: PageStore;
  readonly meta: OpenedMeta;
  close(): Promise<void>;
}

export async function openKeyless(metaUrl: string, overrides: Partial<StoreSettings> = {}): Promise<KeylessVolume> {
  const engine = await openEngine(metaUrl);
  const opened: (() => Promise<void>)[] = [() => engine.close()];
  const close = async (): Promise<void> => {
    for (const step of opened.splice(0).reverse()) await step();
  };
  try {
    const volume = await readSetting(engine);
    const { name, hashPrefix, pageSize, compression, encryptAlgo } = volume.setting;
    const store = await openStore(storeSettings(volume, overrides));
    opened.push(() => store.close());
    const keyless = { key: undefined, ledger: undefined, cacheBytes: 0, log };
    const pages = openPageStore({
      store,
      volumeName: name,
      hashPrefix,
      pageSize,
      compression,
      encryptAlgo,
      ...keyless,
    });
    opened.push(() => pages.close());
    const meta = await openMeta({
      engine,
      log,
      removeSlice: (id, size) => pages.remove(id, size),
      backgroundJobs: false,
    });
    opened.push(() => meta.close());
    return { engine, store, pages, meta, close };
  } catch (thrown) {
    await close().catch(() => undefined);
    throw thrown;
  }
}

/** Tree, quota and row of one volume that shares its file system with others. */
export async function removeVolumeTree(metaUrl: string, storeSettings: StoreSettings, volumeId: string): Promise<void> {
  const { engine, meta, close } = await openKeyless(metaUrl, storeSettings);
  await removeVolume(engine, meta, volumeId).finally(close);
}
