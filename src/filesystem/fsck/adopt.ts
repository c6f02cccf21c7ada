// Ledger rows for pages that have none, by what the store holds now: trust on first use. Rows that exist are never
// replaced. When every page has its row the volume may be made strict.
import { hasCode } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import type { LedgerEntry } from '../../base/words.ts';
import { ledgerOf } from '../meta/chunk-view.ts';
import { putSetting } from '../meta/ledger-setting.ts';
import { bigintAt } from '../meta/rows.ts';
import { type OpenedVolume, openVolume } from '../open.ts';
import type { KeySource } from '../options.ts';
import type { PagePlace } from '../page/page-store.ts';
import { SliceIndex } from '../slices/slice-index.ts';
import { scanSlices } from '../slices/slice-scan.ts';
import { type Change, change, type Op, query, read, write } from '../sql/op.ts';
import type { StoreSettings } from '../store/store.ts';
import { custodyOf } from '../unlock.ts';
import { bounded } from './checks.ts';
import { each, scanLedger } from './pages.ts';

/** Each holds a page or two in memory, and an RSA operation costs about a millisecond of a thread. */
const AT_ONCE = 8;

export interface AdoptOptions {
  readonly metaUrl: string;
  readonly key: KeySource;
  readonly store?: Partial<StoreSettings>;
  /** From then on a page without a row is refused; only when none is left. */
  readonly strict?: boolean;
  readonly progress?: OnProgress;
}

export interface AdoptReport {
  readonly adopted: number;
  /** Pages that could not be opened, the first of them by name. */
  readonly failures: readonly string[];
  /** Pages that have no row still. */
  readonly left: number;
  readonly mode: 'strict' | 'lenient';
}

export async function adopt(options: AdoptOptions): Promise<AdoptReport> {
  const { metaUrl, key, store, progress = () => undefined } = options;
  const volume = await openVolume({
    metaUrl,
    key,
    ledger: 'lenient',
    backgroundJobs: false,
    ...(store && { store }),
  });
  const index = new SliceIndex();
  try {
    const { pageSize } = volume.setting;
    await scanSlices(metaUrl, index);
    await scanLedger(volume.engine, index, pageSize);
    const { unledgered } = index.pageTotals(pageSize);
    let adopted = 0;
    const failures = await each(unledgeredPages(volume, index), AT_ONCE, unledgered, progress, async (place) => {
      try {
        const rows = await insert(volume, await volume.pages.adopt(place));
        adopted += rows;
        return undefined;
      } catch (thrown) {
        if (hasCode(thrown, 'store-unavailable', 'metadata-unavailable')) throw thrown;
        // Compacted or deleted by somebody meanwhile.
        if (!(await isCounted(volume, place))) return undefined;
        return thrown instanceof Error ? thrown.message : String(thrown);
      }
    });
    return { adopted, failures: bounded(failures), ...(await settle(volume, index, options)) };
  } finally {
    index.close();
    await volume.close();
  }
}

/** Of slices that lack some, those pages that do. */
async function* unledgeredPages({ engine, setting }: OpenedVolume, index: SliceIndex): AsyncGenerator<PagePlace> {
  let slice = -1n;
  let known = new Set<number>();
  for (const place of index.places(setting.pageSize, true)) {
    if (place.sliceId !== slice) {
      slice = place.sliceId;
      const rows = await engine.view(() => read(...ledgerOf([place.sliceId])));
      known = new Set(rows.flat().map(({ indx }) => indx));
    }
    if (!known.has(place.indx)) yield place;
  }
}

/** 1 when the row is new. A slice that is gone gets none. */
function insert({ engine }: OpenedVolume, { sliceId, indx, tag, pageKey }: LedgerEntry): Promise<number> {
  return engine.run(function* (): Op<number> {
    const rows = yield* read(...ledgerOf([sliceId]));
    const [[counted]] = yield* read(countOf(sliceId));
    if (counted === undefined || rows.flat().some((row) => row.indx === indx)) return 0;
    yield* write(insertRow(sliceId, indx, tag, pageKey));
    return 1;
  });
}

const insertRow = (slice: bigint, indx: number, tag: Buffer, pageKey: Buffer): Change =>
  change(
    `INSERT INTO pageseal_page (slice_id, indx, tag, page_key) VALUES (?, ?, ?, ?)
     ON CONFLICT (slice_id, indx) DO NOTHING`,
    slice,
    BigInt(indx),
    tag,
    pageKey,
  );

const countOf = (slice: bigint) =>
  query('SELECT refs FROM jfs_chunk_ref WHERE chunkid = ?', [slice], (row) => bigintAt(row, 0));

async function isCounted({ engine }: OpenedVolume, { sliceId }: PagePlace): Promise<boolean> {
  const [[refs]] = await engine.view(() => read(countOf(sliceId)));
  return (refs ?? 0n) > 0n;
}

/** Counts once more, since others may have written, and makes the volume strict if that was asked for and nothing is left. */
async function settle(
  volume: OpenedVolume,
  index: SliceIndex,
  { metaUrl, strict }: AdoptOptions,
): Promise<Pick<AdoptReport, 'left' | 'mode'>> {
  const { engine, setting, ours } = volume;
  await scanSlices(metaUrl, index);
  await scanLedger(engine, index, setting.pageSize);
  const { unledgered: left } = index.pageTotals(setting.pageSize);
  if (custodyOf(volume) === 'self-managed') return { left, mode: 'strict' };
  if (!strict || left > 0) return { left, mode: ours.mode ?? 'lenient' };
  await engine.run(
    function* (): Op<void> {
      yield* write(putSetting('ledger-mode', Buffer.from('strict')));
    },
    { durable: true },
  );
  return { left, mode: 'strict' };
}
