// Checks a whole file system, or a part of it: the tree's shape, slices and their counts, ledger rows, objects, figures; on
// demand also every page's contents. The check itself only reads, also of volumes in use (figures are then left out).
import type { OnProgress } from '../../base/progress.ts';
import { countOrphanedLedgerRows } from '../gc/rows.ts';
import { readSetting, type VolumeSetting } from '../meta/read-setting.ts';
import { hasOurTables } from '../meta/schema.ts';
import { allSessions, pendingUsage } from '../meta/volume-rows.ts';
import type { KeySource } from '../options.ts';
import { SliceIndex } from '../slices/slice-index.ts';
import { scanSlices } from '../slices/slice-scan.ts';
import { type Engine, type Op, read } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { openStore } from '../store/open-store.ts';
import type { StoreSettings } from '../store/store.ts';
import { storeSettings } from '../store-settings.ts';
import { custodyOf, ledgerModeOf } from '../unlock.ts';
import { bounded, type Found, runChecks, type Scope } from './checks.ts';
import { figureChecks, sayOwner, sayQuota, wrongOwnersOf, wrongQuotas } from './figures.ts';
import { openPageReader } from './page-reader.ts';
import { objectFindings, objectsOfScope, pageFindings, scanLedger, sliceFindings } from './pages.ts';
import { scopeOf } from './scope.ts';
import { treeChecks } from './tree.ts';

export interface FsckOptions {
  readonly metaUrl: string;
  /** Overrides of the record. */
  readonly store?: Partial<StoreSettings>;
  /** Only this path and what belongs to it; `recursive` with everything below. */
  readonly path?: string;
  readonly recursive?: boolean;
  /** Reads every page as well. The key as for opening: absent for a volume that is not encrypted. */
  readonly deep?: { readonly key?: KeySource };
  /** Compares figures also while clients are at work, whose last changes may not be in them yet. */
  readonly figures?: boolean;
  /** Called now and then during the long parts. */
  readonly progress?: OnProgress;
}

export interface FsckReport {
  readonly name: string;
  readonly uuid: string;
  readonly slices: number;
  readonly pages: number;
  /** Pages that something uses and that have no ledger row; 0 for a volume without encryption. */
  readonly unledgered: number;
  /** What must not be; empty for a sound volume. */
  readonly findings: readonly string[];
  /** What may be, and is worth knowing. */
  readonly notes: readonly string[];
}

/** Rejects only when the check itself cannot be made. */
export async function fsck(options: FsckOptions): Promise<FsckReport> {
  const engine = await openEngine(options.metaUrl, { readOnly: true });
  const index = new SliceIndex();
  try {
    const volume = await readSetting(engine);
    const scope =
      options.path === undefined ? undefined : await scopeOf(engine, options.path, options.recursive === true);
    const found = await runChecks(engine, treeChecks, scope);
    await checkFigures(engine, volume, scope, options.figures === true, found);
    const unledgered = await checkPages({ engine, volume, scope, index, options }, found);
    const { name, uuid, pageSize } = volume.setting;
    const { pages } = index.pageTotals(pageSize);
    return { name, uuid, slices: index.totals().used, pages, unledgered, ...found };
  } finally {
    index.close();
    await engine.close();
  }
}

async function checkFigures(
  engine: Engine,
  { setting }: VolumeSetting,
  scope: Scope | undefined,
  anyway: boolean,
  found: Found,
): Promise<void> {
  const ours = await hasOurTables(engine);
  const [sessions, pending] = await engine.view(function* (): Op<[bigint, bigint]> {
    const [[count = 0n]] = yield* read(allSessions);
    const [[waiting = 0n] = []] = ours ? yield* read(pendingUsage) : [[]];
    return [count, waiting];
  });
  if (!anyway && sessions > 0n) found.notes.push(`${sessions} sessions are open: totals and sums were not compared`);
  else if (!anyway && pending > 0n)
    found.notes.push('a client that died left figures to be added: totals and sums were not compared');
  else {
    const more = await runChecks(engine, figureChecks(setting.dirStats), scope);
    found.findings.push(...more.findings, ...(await wrongQuotas(engine, scope)).map(sayQuota));
    if (setting.userGroupQuota && ours && scope === undefined)
      found.findings.push(...bounded((await wrongOwnersOf(engine)).map(sayOwner)));
  }
}

interface PageCheck {
  readonly engine: Engine;
  readonly volume: VolumeSetting;
  readonly scope: Scope | undefined;
  readonly index: SliceIndex;
  readonly options: FsckOptions;
}

/** Answers how many pages have no ledger row. */
async function checkPages({ engine, volume, scope, index, options }: PageCheck, found: Found): Promise<number> {
  const { setting } = volume;
  const { pageSize } = setting;
  const progress = options.progress ?? (() => undefined);
  const { findings, notes } = found;
  findings.push(...sliceFindings(await scanSlices(options.metaUrl, index, progress, scope), index, scope));
  let unledgered = 0;
  if (custodyOf(volume) !== 'unencrypted') {
    const ours = await hasOurTables(engine);
    if (ours) await scanLedger(engine, index, pageSize);
    const totals = index.pageTotals(pageSize);
    unledgered = totals.unledgered;
    if (unledgered > 0)
      (ledgerModeOf(volume) === 'strict' ? findings : notes).push(
        `${unledgered} of ${totals.pages} pages have no ledger row`,
      );
    const orphans = ours && scope === undefined ? await countOrphanedLedgerRows(engine, pageSize) : 0;
    if (orphans > 0) notes.push(`${orphans} ledger rows belong to no slice: gc --delete takes them`);
  }
  const store = await openStore(storeSettings(volume, options.store));
  try {
    const layout = { volumeName: setting.name, hashPrefix: setting.hashPrefix };
    if (scope === undefined) findings.push(...(await objectFindings(engine, store, layout, index, pageSize, progress)));
    else findings.push(...(await objectsOfScope(store, layout, index, pageSize, progress)));
    if (options.deep !== undefined) {
      const reader = await openPageReader(engine, volume, options.deep.key, store);
      try {
        findings.push(...(await pageFindings(index, pageSize, reader, progress)));
      } finally {
        await reader.close();
      }
    }
  } finally {
    await store.close();
  }
  return unledgered;
}
