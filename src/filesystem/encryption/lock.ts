// The lock of a conversion: taken in one transaction that looks for sessions, copies the record and marks it with a number
// that the original client refuses.
import { nowNs, nowSeconds } from '../../base/clock.ts';
import { fail, hasCode } from '../../base/errors.ts';
import { CONVERSION, conversionRows, insertLockRow } from '../meta/conversion-lock.ts';
import { allSettings, ledgerSettingOf, type Owner } from '../meta/ledger-setting.ts';
import { lockedRecordText, putSettingText } from '../meta/record-row.ts';
import { completeTables } from '../meta/schema.ts';
import { parseSetting } from '../meta/setting.ts';
import { counterValue } from '../meta/statements.ts';
import { lockFigures } from '../meta/usage-rows.ts';
import { type Engine, type Op, read, write } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { custodyOf } from '../unlock.ts';
import { allSessions, liveSessionsAmong, sessionReasons } from './sessions.ts';
import {
  changesOf,
  knownStanding,
  lockedText,
  lockOf,
  ownerOf,
  refuseOtherOwner,
  standingOf,
  stepOf,
} from './standing.ts';
import type { Begun, ConversionState, FileSystemPlace } from './words.ts';

export async function conversionState({ metaUrl }: FileSystemPlace): Promise<ConversionState> {
  const engine = await openEngine(metaUrl, { readOnly: true });
  try {
    const standing = await standingOf(engine);
    if (standing === undefined) return { kind: 'not-formatted' };
    const { setting, ours, lock, text } = standing;
    const common = { name: setting.name, uuid: setting.uuid, owner: ownerOf(standing) };
    if (lock !== undefined)
      return { kind: 'under-way', ...common, step: stepOf(lock), since: lock.since, changed: changesOf(text, lock) };
    const keyCheck = ours.keyCheck?.toString('hex');
    return { kind: 'at-rest', ...common, custody: custodyOf(standing), keyCheck };
  } catch (thrown) {
    // A database without any of the tables.
    if (hasCode(thrown, 'not-formatted')) return { kind: 'not-formatted' };
    throw thrown;
  } finally {
    await engine.close();
  }
}

export interface BeginOptions {
  readonly owner: Owner;
}

/** Asked again while the lock stands, it answers the same. Rejects not-formatted, refused (another's file system). */
export async function beginConversion({ metaUrl }: FileSystemPlace, { owner }: BeginOptions): Promise<Begun> {
  const engine = await openEngine(metaUrl);
  try {
    const standing = await knownStanding(engine);
    refuseOtherOwner('turn encryption on', standing, owner);
    if (standing.lock !== undefined) return { kind: 'locked' };
    const custody = custodyOf(standing);
    if (custody !== 'unencrypted') return { kind: 'encrypted', custody };
    // Before anything is touched: a volume of the original client may lack our tables.
    const [sessions] = await engine.view(() => read(allSessions));
    const live = liveSessionsAmong(sessions, nowSeconds());
    if (live.length > 0) return { kind: 'blocked', reasons: sessionReasons(live), sessions: live };
    await completeTables(engine);
    return await lockNow(engine);
  } finally {
    await engine.close();
  }
}

const lockNow = (engine: Engine): Promise<Begun> => engine.run(takeLock, { durable: true, looksItself: true });

function* takeLock(): Op<Begun> {
  // The two counters are what CSI's calls and new sessions lock before they look for our row.
  const [, , [text], rows, settings, sessions] = yield* read(
    lockFigures,
    counterValue('nextSession', true),
    lockedRecordText,
    conversionRows,
    allSettings,
    allSessions,
  );
  if (lockOf(rows) !== undefined) return { kind: 'locked' };
  if (text === undefined) throw fail('not-formatted', 'turn encryption on: the file system is gone');
  const setting = parseSetting(text);
  const custody = custodyOf({ setting, ours: ledgerSettingOf(settings) });
  if (custody !== 'unencrypted') return { kind: 'encrypted', custody };
  const live = liveSessionsAmong(sessions, nowSeconds());
  if (live.length > 0) return { kind: 'blocked', reasons: sessionReasons(live), sessions: live };
  yield* write(insertLockRow(CONVERSION, Buffer.from(text), nowNs()), putSettingText(lockedText(text)));
  return { kind: 'locked' };
}
