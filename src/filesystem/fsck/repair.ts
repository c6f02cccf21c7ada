// Repairs what the check finds, in steps that rely on those before: what the dead left, the tree, references, figures. Each
// repair is a transaction and says what it did; a second check afterwards says what is left.
import { nowNs } from '../../base/clock.ts';
import { FsError, hasCode } from '../../base/errors.ts';
import { readSetting } from '../meta/read-setting.ts';
import { addCounter, counterValue } from '../meta/statements.ts';
import { liveSessions } from '../meta/volume-rows.ts';
import { parsePageObjectKey } from '../page/object-key.ts';
import { type Engine, type Op, read, write } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { openStore } from '../store/open-store.ts';
import { storeSettings } from '../store-settings.ts';
import { openKeyless } from '../without-key.ts';
import { applies, type Check, MOST_FINDINGS, rowsOf, type Scope } from './checks.ts';
import { type FsckOptions, type FsckReport, fsck } from './fsck.ts';
import { type OnRepair, repairFigures, repairReferences } from './repair-counts.ts';
import { safeWithOthers, TreeRepairs } from './repair-tree.ts';
import { scopeOf } from './scope.ts';
import { treeChecks } from './tree.ts';

/** A repair may bring other damage to light: so many times through all of it, then what is left is left. */
const MAX_ROUNDS = 8;
const ROWS = 200;
/** Repairs that a report lists; `onRepair` hears all. */
const MOST_REPAIRS = 1000;
/** As the original client. */
export const REPAIRED_DIRECTORY_MODE = 0o755;

export interface RepairOptions extends FsckOptions {
  /** Of directories that are made again. */
  readonly directoryMode?: number;
  readonly onRepair?: OnRepair;
}

export interface RepairReport extends FsckReport {
  /** The first of them. */
  readonly repairs: readonly string[];
  readonly repaired: number;
  /** What was not repaired, and why. */
  readonly refused: readonly string[];
}

export async function repair(options: RepairOptions): Promise<RepairReport> {
  const repairs: string[] = [];
  let repaired = 0;
  const onRepair: OnRepair = (what) => {
    repaired++;
    if (repairs.length < MOST_REPAIRS) repairs.push(what);
    options.onRepair?.(what);
  };
  const refused = await repairAll(options, onRepair);
  const left = await fsck(options);
  return { ...left, repairs, repaired, refused };
}

async function repairAll(options: RepairOptions, onRepair: OnRepair): Promise<string[]> {
  await endTheDead(options, onRepair);
  const engine = await openEngine(options.metaUrl);
  try {
    const scope =
      options.path === undefined ? undefined : await scopeOf(engine, options.path, options.recursive === true);
    const others = await othersAtWork(engine);
    const refused: string[] = [];
    if (scope === undefined) await raiseSliceCounter(engine, options, onRepair);
    const repairs = new TreeRepairs(engine, options.directoryMode ?? REPAIRED_DIRECTORY_MODE);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      refused.length = 0;
      let done = 0;
      for (const check of treeChecks)
        done += await repairKind({ engine, check, scope, others, repairs, onRepair }, refused);
      if (done === 0) break;
    }
    const { setting } = await readSetting(engine);
    if (others > 0n) {
      refused.push(`counts of slices, sums and totals: ${others} clients have the volume mounted`);
      return refused;
    }
    if (scope === undefined) refused.push(...(await repairReferences(engine, options.metaUrl, onRepair)));
    await repairFigures(engine, setting, wholeTree(options) ? undefined : scope, onRepair);
    return refused;
  } finally {
    await engine.close();
  }
}

/** The original client sets totals too when asked for the root with all below it. */
const wholeTree = ({ path, recursive }: FsckOptions): boolean =>
  path === undefined || (recursive === true && path.split('/').every((name) => name === ''));

/** Also adds figures that the dead left to be added: from here on nobody adds any. */
async function endTheDead({ metaUrl, store }: RepairOptions, onRepair: OnRepair): Promise<void> {
  const { meta, close } = await openKeyless(metaUrl, store);
  try {
    const ended = await meta.endDeadSessions();
    if (ended > 0) onRepair(`${ended} sessions of clients that are gone ended, with their locks and deleted files`);
  } finally {
    await close();
  }
}

async function othersAtWork(engine: Engine): Promise<bigint> {
  const [[count = 0n]] = await engine.view(() => read(liveSessions(nowNs() / 1_000_000_000n)));
  return count;
}

interface Kind {
  readonly engine: Engine;
  readonly check: Check;
  readonly scope: Scope | undefined;
  readonly others: bigint;
  readonly repairs: TreeRepairs;
  readonly onRepair: OnRepair;
}

/** Answers how many were repaired. Rows that stay as they are are passed over. */
async function repairKind(kind: Kind, refused: string[]): Promise<number> {
  const { engine, check, scope, others, repairs, onRepair } = kind;
  const fix = repairs.of(check.kind);
  if (fix === undefined || !applies(check, scope)) return 0;
  let done = 0;
  let last = '';
  for (let passed = 0; ; ) {
    // One loop at a time: taking it apart mends what lies below it.
    const found = await rowsOf(engine, check, scope, check.kind === 'unreachable' ? 1 : ROWS, passed);
    const [first] = found;
    if (first === undefined) return done;
    if (others > 0n && !safeWithOthers.has(check.kind)) {
      refused.push(`${check.say(first)}: ${others} clients have the volume mounted`);
      return done;
    }
    // The same again: its repair did not help.
    if (String(first) === last) {
      passed++;
      last = '';
      continue;
    }
    last = String(first);
    for (const row of found) {
      const what = await fix(row).catch((thrown: unknown) => {
        if (hasCode(thrown, 'metadata-unavailable')) throw thrown;
        refused.push(`${check.say(row)}: ${FsError.from(thrown).message}`);
        return undefined;
      });
      if (what === undefined) passed++;
      else {
        done++;
        onRepair(what);
      }
    }
    if (done > 0 && passed > MOST_FINDINGS) return done;
  }
}

/** Objects beyond the counter are of a later state of the metadata: new slices must not take their names. */
async function raiseSliceCounter(engine: Engine, options: RepairOptions, onRepair: OnRepair): Promise<void> {
  const volume = await readSetting(engine);
  const { name: volumeName, hashPrefix } = volume.setting;
  const store = await openStore(storeSettings(volume, options.store));
  let highest = 0n;
  try {
    for await (const { key } of store.list(`${volumeName}/chunks/`)) {
      const place = parsePageObjectKey({ volumeName, hashPrefix }, key);
      if (place !== undefined && place.sliceId > highest) highest = place.sliceId;
    }
  } finally {
    await store.close();
  }
  const changed = await engine.run(function* (): Op<boolean> {
    const [[next = 0n]] = yield* read(counterValue('nextChunk', true));
    if (highest < next) return false;
    yield* write(addCounter('nextChunk', highest + 1n - next));
    return true;
  });
  if (changed) onRepair(`counter nextChunk raised to ${highest + 1n}, beyond the objects that are there`);
}
