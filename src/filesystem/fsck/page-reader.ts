// Opens pages of a volume one by one, for checks: no metadata session, nothing cached, nothing written.
import { fail } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { ledgerOf } from '../meta/chunk-view.ts';
import type { VolumeSetting } from '../meta/read-setting.ts';
import { hasOurTables } from '../meta/schema.ts';
import type { KeySource } from '../options.ts';
import { Ledger } from '../page/ledger.ts';
import type { PagePlace } from '../page/page-store.ts';
import { openPageStore } from '../page/sealed-page-store.ts';
import { type Engine, read } from '../sql/op.ts';
import type { ObjectStore } from '../store/store.ts';
import { ledgerModeOf, unlock } from '../unlock.ts';

export interface PageReader {
  /** Throws what is wrong with the page. */
  check(place: PagePlace): Promise<void>;
  close(): Promise<void>;
}

/** Rejects what unlocking the key rejects with. */
export async function openPageReader(
  engine: Engine,
  volume: VolumeSetting,
  key: KeySource | undefined,
  store: ObjectStore,
): Promise<PageReader> {
  const { setting, ours } = volume;
  const opened = unlock(key, volume);
  const mode = ledgerModeOf(volume);
  const ledger = opened && ours.ledger ? { keys: Ledger.open(opened, setting.uuid, ours.ledger), mode } : undefined;
  const { name: volumeName, hashPrefix, pageSize, compression, encryptAlgo } = setting;
  const format = { volumeName, hashPrefix, pageSize, compression, encryptAlgo };
  const pages = openPageStore({ store, ...format, key: opened, ledger, cacheBytes: 0, log });
  const hasLedger = await hasOurTables(engine);
  return {
    async check(place) {
      if (opened !== undefined && ledger === undefined && mode === 'strict')
        throw fail('page-unledgered', `read page ${place.sliceId}/${place.indx}: the page ledger has no key`);
      const rows = hasLedger
        ? await engine.view(function* () {
            const [found = []] = yield* read(...ledgerOf([place.sliceId]));
            return found;
          })
        : [];
      await pages.read(
        place,
        rows.find((row) => row.indx === place.indx),
      );
    },
    async close() {
      await pages.close();
      ledger?.keys.wipe();
      opened?.wipe();
    },
  };
}
