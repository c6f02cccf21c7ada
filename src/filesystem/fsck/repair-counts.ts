// Counts made anew from what they count: references of slices, sums of directories, usage of quotas, totals. For volumes
// that nobody else has mounted.

import { recountOwners } from '../meta/owner-rows.ts';
import { recountQuota } from '../meta/quota-rows.ts';
import { bigintAt } from '../meta/rows.ts';
import type { Setting } from '../meta/setting.ts';
import { NODE_LENGTH, NODE_SPACE } from '../meta/space.ts';
import { addCounter } from '../meta/statements.ts';
import type { Ino } from '../meta/types.ts';
import { lockFigures } from '../meta/usage-rows.ts';
import { SliceIndex, type SliceUse } from '../slices/slice-index.ts';
import { scanSlices } from '../slices/slice-scan.ts';
import { type Change, change, type Engine, type Op, read, write } from '../sql/op.ts';
import { rowsOf, type Scope } from './checks.ts';
import { figureChecks, totalInodesSql, usedSpaceSql, wrongOwnersOf, wrongQuotas } from './figures.ts';

export type OnRepair = (what: string) => void;

/** Rows in one transaction. */
const BATCH = 200;

const run = (engine: Engine, changes: readonly Change[]): Promise<void> =>
  engine.run(
    function* (): Op<void> {
      yield* read(lockFigures);
      yield* write(...changes);
    },
    { durable: true },
  );

/** Answers what had to stay as it is. */
export async function repairReferences(engine: Engine, metaUrl: string, onRepair: OnRepair): Promise<string[]> {
  const index = new SliceIndex();
  try {
    const scan = await scanSlices(metaUrl, index);
    if (scan.zeroRows > 0) {
      await run(engine, [change('DELETE FROM jfs_chunk_ref WHERE chunkid = 0')]);
      onRepair('count of slice 0 removed');
    }
    const batch: Change[] = [];
    const flush = async (): Promise<void> => {
      await run(engine, batch.splice(0));
    };
    let kept = 0;
    for (const use of index.miscounted()) {
      const right = use.records + use.delayed;
      // Rows that cannot be read may hold the references that seem to be missing.
      if (scan.damaged.length > 0 && right < (use.counted?.refs ?? 0)) {
        kept++;
        continue;
      }
      batch.push(setReferences(use, right));
      onRepair(`slice ${use.id}: count set from ${use.counted?.refs ?? 'nothing'} to ${right}`);
      if (batch.length === BATCH) await flush();
    }
    for (const { id, size, odd, counted } of index.missized()) {
      if (odd > 0 || counted === undefined) continue;
      batch.push(change('UPDATE jfs_chunk_ref SET size = ? WHERE chunkid = ?', BigInt(size), id));
      onRepair(`slice ${id}: size set from ${counted.size} to ${size}`);
    }
    await flush();
    return kept === 0 ? [] : [`${kept} counts are left too high: rows that cannot be read may be what they count`];
  } finally {
    index.close();
  }
}

function setReferences({ id, size, counted }: SliceUse, refs: number): Change {
  if (counted !== undefined) return change('UPDATE jfs_chunk_ref SET refs = ? WHERE chunkid = ?', BigInt(refs), id);
  return change(
    'INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (?, ?, ?) ON CONFLICT (chunkid) DO NOTHING',
    id,
    BigInt(size),
    BigInt(refs),
  );
}

export async function repairFigures(
  engine: Engine,
  setting: Pick<Setting, 'dirStats' | 'userGroupQuota'>,
  scope: Scope | undefined,
  onRepair: OnRepair,
): Promise<void> {
  for (const check of figureChecks(setting.dirStats)) {
    if (scope !== undefined && check.whole) continue;
    if (check.kind === 'wrong-space') await setTotal(engine, 'usedSpace', usedSpaceSql, onRepair, check);
    else if (check.kind === 'wrong-inodes') await setTotal(engine, 'totalInodes', totalInodesSql, onRepair, check);
    else await setSums(engine, check, scope, onRepair);
  }
  for (const { ino } of await wrongQuotas(engine, scope)) {
    await run(engine, [recountQuota(ino)]);
    onRepair(`quota of directory ${ino}: usage counted anew`);
  }
  if (!setting.userGroupQuota || scope !== undefined || (await wrongOwnersOf(engine)).length === 0) return;
  await run(engine, recountOwners());
  onRepair('usage of users and groups counted anew');
}

type FigureCheck = ReturnType<typeof figureChecks>[number];

async function setTotal(
  engine: Engine,
  counter: string,
  sql: string,
  onRepair: OnRepair,
  check: FigureCheck,
): Promise<void> {
  await run(engine, [addCounter(counter, 0n)]);
  if ((await rowsOf(engine, check, undefined, 1)).length === 0) return;
  await run(engine, [change(`UPDATE jfs_counter SET value = (${sql}) WHERE name = ?`, counter)]);
  onRepair(`${counter} counted anew`);
}

/** One row after the other takes its place among the right ones, so the first are asked for again and again. */
async function setSums(
  engine: Engine,
  check: FigureCheck,
  scope: Scope | undefined,
  onRepair: OnRepair,
): Promise<void> {
  for (;;) {
    const found = await rowsOf(engine, check, scope, BATCH);
    if (found.length === 0) return;
    await run(
      engine,
      found.map((row) => sumsOf(bigintAt(row, 0))),
    );
    for (const row of found) onRepair(`directory ${bigintAt(row, 0)}: sums of its entries counted anew`);
  }
}

const sumsOf = (ino: Ino): Change =>
  change(
    `INSERT INTO jfs_dir_stats (inode, data_length, used_space, used_inodes)
     SELECT ?, COALESCE(SUM(${NODE_LENGTH}), 0), COALESCE(SUM(${NODE_SPACE}), 0), COUNT(n.inode)
     FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode WHERE e.parent = ?
     ON CONFLICT (inode) DO UPDATE SET data_length = excluded.data_length, used_space = excluded.used_space,
       used_inodes = excluded.used_inodes`,
    ino,
    ino,
  );
