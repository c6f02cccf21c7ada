// A volume with quotas and two clients, for tests of limits and accounts.

import { inspect } from 'node:util';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { type OwnerCheck, wrongOwners } from '../../../src/filesystem/meta/owner-rows.ts';
import { allQuotas, quotaCheck } from '../../../src/filesystem/meta/quota-rows.ts';
import { lockFigures } from '../../../src/filesystem/meta/usage-rows.ts';
import { type Change, type Engine, read, write } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import type { Temp } from '../../harness/temp.ts';
import { TestVolume } from './volume.ts';

export interface QuotaVolume {
  readonly volume: TestVolume;
  /** Beside the clients. */
  readonly engine: Engine;
  readonly clients: OpenedMeta[];
  change(...changes: readonly Change[]): Promise<void>;
  /** Rows of directories, users and groups that, with what is pending for them, are not what is there. */
  wrong(): Promise<unknown[]>;
  /** Ends everything and says what is wrong with the rows then. */
  close(): Promise<string[]>;
}

export interface QuotaSettings {
  readonly trashDays?: number;
  /** Count what users and groups own. */
  readonly owners?: boolean;
}

/** `prepare` makes what is there before the two clients that know the limits. */
export async function quotaVolume(
  temp: Temp,
  { trashDays = 0, owners = false }: QuotaSettings,
  prepare: (meta: OpenedMeta, change: QuotaVolume['change']) => Promise<void> = async () => undefined,
): Promise<QuotaVolume> {
  const volume = await TestVolume.make(temp, { trashDays });
  if (owners) volume.set('UserGroupQuota', true);
  const engine = await openEngine(volume.url);
  const change = (...changes: readonly Change[]): Promise<void> =>
    engine.run(function* () {
      // As whoever sets a quota does: what clients add to the figures meanwhile would be in neither.
      yield* read(lockFigures);
      yield* write(...changes);
    });
  const first = await volume.open();
  await prepare(first, change);
  await first.close();
  const clients = [await volume.open(), await volume.open()];
  return {
    volume,
    engine,
    clients,
    change,
    wrong: () => wrongRows(engine, owners),
    close: async () => {
      for (const client of clients) await client.close();
      const found = await wrongRows(engine, owners);
      await engine.close();
      return [...found.map((one) => inspect(one)), ...(await volume.violations())];
    },
  };
}

async function wrongRows(engine: Engine, counted: boolean): Promise<unknown[]> {
  const { checks, owners } = await engine.view(function* () {
    const [quotas, wrong] = yield* read(allQuotas, wrongOwners);
    const found = yield* read(...quotas.map(({ ino }) => quotaCheck(ino)));
    return { checks: found.flat(), owners: wrong as OwnerCheck[] };
  });
  const trees = checks.filter(({ row, found }) => row.usedSpace !== found.space || row.usedInodes !== found.inodes);
  // A row that is still to be made has everything pending.
  const known = owners.filter(({ says, found }) => says !== undefined || found.space !== 0n || found.inodes !== 0n);
  return counted ? [...trees, ...known] : trees;
}
