// Turns on what quotas need, sums per directory or accounts of users and groups, on a volume that may be mounted: the record
// first, then, once every mount has taken that up, everything is counted.
import { setTimeout as sleep } from 'node:timers/promises';
import { nowSeconds } from '../base/clock.ts';
import { fail } from '../base/errors.ts';
import { recountOwners } from './meta/owner-rows.ts';
import { lockedSettingText, putSettingText } from './meta/record-row.ts';
import { bigintAt } from './meta/rows.ts';
import { parseRecord, printRecord } from './meta/setting.ts';
import { lockFigures, recountDirStats } from './meta/usage-rows.ts';
import { type Engine, query, read, write } from './sql/op.ts';

const POLL_MS = 200;
/** A mount reads the record in the heartbeat that renews its session. */
const AFTER_RENEWAL_MS = 1000;
/** Some heartbeats of those who beat slowly. */
const PATIENCE_MS = 90_000;

export type Account = 'DirStats' | 'UserGroupQuota';

export interface Waiting {
  /** Told now and then: mounts that have not answered yet. */
  readonly onWaiting?: (mounts: number) => void;
}

/** Answers what the caller should know of it. */
export async function enableAccount(engine: Engine, account: Account, { onWaiting }: Waiting = {}): Promise<string[]> {
  await engine.run(
    function* () {
      const text = yield* lockedSettingText();
      if (text === undefined) throw fail('not-formatted', `${engine.description} holds no file system`);
      yield* write(putSettingText(printRecord(new Map([...parseRecord(text), [account, true]]))));
    },
    { durable: true },
  );
  const late = await waitForMounts(engine, onWaiting);
  await engine.run(function* () {
    yield* read(lockFigures);
    yield* write(...(account === 'DirStats' ? recountDirStats() : recountOwners()));
  });
  if (late === 0) return [];
  return [`${late} mounts have not taken it up: what they change meanwhile is not counted, check it later`];
}

const sessions = query(
  'SELECT sid, expire FROM jfs_session2',
  [],
  (row) => [bigintAt(row, 0), bigintAt(row, 1)] as const,
);

/** Until each session that lives has been renewed, or is gone. Answers how many did not. */
async function waitForMounts(engine: Engine, onWaiting: (mounts: number) => void = () => undefined): Promise<number> {
  const look = (): Promise<(readonly [bigint, bigint])[]> =>
    engine.view(function* () {
      return (yield* read(sessions))[0];
    });
  const first = await look();
  const deadline = performance.now() + PATIENCE_MS;
  let waiting = first.filter(([, expire]) => expire >= nowSeconds());
  if (waiting.length === 0) return 0;
  while (performance.now() < deadline) {
    onWaiting(waiting.length);
    await sleep(POLL_MS);
    const now = new Map(await look());
    waiting = waiting.filter(([sid, expire]) => now.get(sid) === expire && expire >= nowSeconds());
    if (waiting.length === 0) {
      await sleep(AFTER_RENEWAL_MS);
      return 0;
    }
  }
  return waiting.length;
}
