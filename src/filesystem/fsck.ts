// Checks a whole file system: the tree's shape, slices and their counts, ledger rows, objects; on demand also
// every page's contents. Reads only, also of volumes in use (totals are then left out); repairs nothing.
import type { OnProgress } from '../base/progress.ts';
import { checkObjects, checkSlices, countUnledgered, placesOf } from './fsck-slices.ts';
import { bounded, checkTree, sessionCount } from './fsck-tree.ts';
import { readSetting } from './meta/read-setting.ts';
import { hasOurTables } from './meta/schema.ts';
import type { KeySource } from './options.ts';
import type { PagePlace } from './page/page-store.ts';
import { openPageReader, type PageReader } from './page-reader.ts';
import type { Engine } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';
import { openStore } from './store/open-store.ts';
import type { StoreSettings } from './store/store.ts';
import { storeSettings } from './store-settings.ts';
import { custodyOf, ledgerModeOf } from './unlock.ts';

export interface FsckOptions {
  readonly metaUrl: string;
  /** Overrides of the record. */
  readonly store?: Partial<StoreSettings>;
  /** Reads every page as well. The key as for opening: absent for a volume that is not encrypted. */
  readonly deep?: { readonly key?: KeySource };
  /** Called now and then during the long part. */
  readonly progress?: OnProgress;
}

export interface FsckReport {
  readonly name: string;
  readonly uuid: string;
  readonly slices: number;
  readonly pages: number;
  /** What must not be; empty for a sound volume. */
  readonly findings: readonly string[];
  /** What may be, and is worth knowing. */
  readonly notes: readonly string[];
}

/** Rejects only when the check itself cannot be made. */
export async function fsck(options: FsckOptions): Promise<FsckReport> {
  const engine = await openEngine(options.metaUrl, { readOnly: true });
  try {
    return await checkVolume(engine, options);
  } finally {
    await engine.close();
  }
}

async function checkVolume(engine: Engine, options: FsckOptions): Promise<FsckReport> {
  const volume = await readSetting(engine);
  const { setting } = volume;
  const sessions = await sessionCount(engine);
  const findings = await checkTree(engine, sessions === 0n);
  const notes = sessions === 0n ? [] : [`${sessions} sessions are open: totals were not compared`];
  const { slices, findings: wrongSlices } = await checkSlices(engine);
  findings.push(...wrongSlices);
  const places = [...placesOf(slices, setting.pageSize)];

  if (custodyOf(volume) !== 'unencrypted') {
    const bare = (await hasOurTables(engine)) ? await countUnledgered(engine, slices, setting.pageSize) : places.length;
    if (bare > 0)
      (ledgerModeOf(volume) === 'strict' ? findings : notes).push(
        `${bare} of ${places.length} pages have no ledger row`,
      );
  }
  const store = await openStore(storeSettings(volume, options.store));
  try {
    const layout = { volumeName: setting.name, hashPrefix: setting.hashPrefix };
    findings.push(...(await checkObjects(store, layout, slices, setting.pageSize)));
    if (options.deep !== undefined) {
      const reader = await openPageReader(engine, volume, options.deep.key, store);
      try {
        findings.push(...(await readPages(places, reader, options.progress)));
      } finally {
        await reader.close();
      }
    }
  } finally {
    await store.close();
  }
  return { name: setting.name, uuid: setting.uuid, slices: slices.size, pages: places.length, findings, notes };
}

/** Enough to keep the codec threads busy; each holds a page or two in memory. */
const READS_AT_ONCE = 4;

async function readPages(
  places: readonly PagePlace[],
  reader: PageReader,
  progress: FsckOptions['progress'],
): Promise<string[]> {
  const findings: string[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < places.length; at = next++) {
      const place = places[at];
      if (place === undefined) return;
      try {
        await reader.check(place);
      } catch (error) {
        findings.push(error instanceof Error ? error.message : String(error));
      }
      progress?.(at + 1, places.length);
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, work));
  return bounded(findings);
}
