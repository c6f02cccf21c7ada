// A file system as those see it who may not open it: its record, its volumes, its objects by name. Metadata is opened
// without a session and pages are deleted, never read; no key is taken.
import { hasCode } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { readPublicKey } from './keys/read-key.ts';
import { openMeta } from './meta/open-meta.ts';
import { readSetting, type VolumeSetting } from './meta/read-setting.ts';
import { completeTables } from './meta/schema.ts';
import { openPageStore } from './page/sealed-page-store.ts';
import type { Engine } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';
import { openStore } from './store/open-store.ts';
import type { StoreSettings } from './store/store.ts';
import { removeVolume } from './volume-tree.ts';

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
export function isKeyOf({ ours }: VolumeSetting, publicKey: string): boolean {
  const { check } = readPublicKey(Buffer.from(publicKey));
  return ours.keyCheck === undefined || ours.keyCheck.equals(check);
}

/** Tree, quota and row of one volume that shares its file system with others. */
export async function removeVolumeTree(
  { engine, setting }: WithoutKey,
  metaUrl: string,
  storeSettings: StoreSettings,
  volumeId: string,
): Promise<void> {
  const { name, hashPrefix, pageSize, compression, encryptAlgo } = setting;
  const store = await openStore(storeSettings);
  const keyless = { key: undefined, ledger: undefined, cacheBytes: 0, log };
  const pages = openPageStore({ store, volumeName: name, hashPrefix, pageSize, compression, encryptAlgo, ...keyless });
  try {
    const meta = await openMeta({
      engine: await openEngine(metaUrl),
      log,
      removeSlice: (id, size) => pages.remove(id, size),
      backgroundJobs: false,
    });
    await removeVolume(engine, meta, volumeId).finally(() => meta.close());
  } finally {
    await pages.close();
    await store.close();
  }
}
