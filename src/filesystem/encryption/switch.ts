// The end of a conversion: once everything is counted and nothing is there, `juicefs_uuid` is sealed, and then one
// transaction looks again, writes the record and takes the lock away. Or it is given up, and the copy is the record again.
import { randomUUID } from 'node:crypto';
import { nowNs, nowSeconds } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { FieldChange } from '../config-fields.ts';
import { type KeyMaterial, readFormatKey } from '../format-record.ts';
import { conversionRows, deleteConversion, deleteLockRow, insertLockRow, steps } from '../meta/conversion-lock.ts';
import { type LedgerSetting, ledgerSettingChanges, type Owner, putSetting } from '../meta/ledger-setting.ts';
import { lockedRecordText, putSettingText } from '../meta/record-row.ts';
import { CONVERSION_META_VERSION, parseRecord, parseSetting } from '../meta/setting.ts';
import { counterValue } from '../meta/statements.ts';
import { lockFigures } from '../meta/usage-rows.ts';
import { deleteLedger } from '../meta/volume-rows.ts';
import { parseEncryptAlgo, sealBlob } from '../page/seal.ts';
import { type Change, type Engine, type Op, read, write } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { openStore } from '../store/open-store.ts';
import { storeSettings } from '../store-settings.ts';
import { custodyOf } from '../unlock.ts';
import { inspectEmptiness } from './emptiness.ts';
import { newRecord } from './new-record.ts';
import { anythingLeft } from './rows-left.ts';
import { allSessions, liveSessionsAmong } from './sessions.ts';
import {
  changesOf,
  knownStanding,
  type Lock,
  lockedText,
  lockOf,
  refuseOtherOwner,
  type Standing,
} from './standing.ts';
import type { ConversionKey, FileSystemPlace, Switched } from './words.ts';

export interface SwitchOptions {
  readonly owner: Owner;
  readonly key: ConversionKey;
  /** Default: what the record says, aes256gcm-rsa where it says nothing. */
  readonly encryptAlgo?: string;
}

/**
 * Turns encryption on where `confirmNoSessions` has found nobody. Asked again after it was cut short, it goes on; after it
 * was done, it says so. Rejects refused, damaged-key and what reading a key rejects with, store and metadata errors.
 */
export async function switchOn(place: FileSystemPlace, options: SwitchOptions): Promise<Switched> {
  const engine = await openEngine(place.metaUrl);
  try {
    const standing = await knownStanding(engine);
    refuseOtherOwner('turn encryption on', standing, options.owner);
    const { lock, setting } = standing;
    if (lock === undefined)
      return custodyOf(standing) === 'unencrypted'
        ? { kind: 'not-confirmed' }
        : { kind: 'encrypted', uuid: setting.uuid, changed: [] };
    if (!lock.steps.has('confirmed')) return { kind: 'not-confirmed' };
    refuseHalfWiped(lock, setting.name);
    const before = await inspectEmptiness(place);
    if (before.reasons.length > 0) return { kind: 'blocked', ...before };
    const uuid = await nextUuid(engine);
    const key = readFormatKey(options.key, uuid);
    const text = newRecord(lock.copy, { uuid, key: options.key, encryptAlgo: options.encryptAlgo });
    await putUuid(place, standing, uuid, (plain) => sealed(key, text, plain));
    const outcome = await engine.run(() => finish(engine, text, { ...key.ours }), { durable: true, looksItself: true });
    if (outcome.kind !== 'filled') return outcome;
    // Somebody came in between: what he left is counted like anything else.
    return { kind: 'blocked', ...(await inspectEmptiness(place)) };
  } finally {
    await engine.close();
  }
}

function refuseHalfWiped({ steps: done }: Lock, name: string): void {
  if (!done.has('wiping') || done.has('wiped')) return;
  throw fail('failed-precondition', `file system ${name}: a wipe has begun and is not done`, {
    hint: 'ask for the wipe again, with the same UUID; it goes on where it was cut short',
  });
}

/** Written down before anything is sealed for it. */
const nextUuid = (engine: Engine): Promise<string> =>
  engine.run(
    function* (): Op<string> {
      const [, rows] = yield* read(lockedRecordText, conversionRows);
      const lock = lockOf(rows);
      if (lock === undefined) throw fail('conflict', 'turn encryption on: somebody else has ended the conversion');
      const chosen = lock.steps.get('next')?.record.toString();
      if (chosen !== undefined) return chosen;
      const uuid = randomUUID();
      yield* write(insertLockRow(steps.next, Buffer.from(uuid), nowNs()));
      return uuid;
    },
    { durable: true, looksItself: true },
  );

/** Undefined where nothing can be sealed yet: the first mount that brings the key puts the object. */
function sealed(key: KeyMaterial, text: string, plain: Buffer): Buffer | undefined {
  if (key.publicKey === undefined) return undefined;
  return sealBlob(parseEncryptAlgo(parseSetting(text).encryptAlgo), key.publicKey, plain);
}

/** `juicefs_uuid` as it is to be; nothing names it until the record does, and giving up puts the old one back. */
async function putUuid(
  place: FileSystemPlace,
  standing: Standing,
  uuid: string,
  made: (plain: Buffer) => Buffer | undefined,
): Promise<void> {
  const store = await openStore(storeSettings(standing, place.store));
  try {
    const object = `${standing.setting.name}/juicefs_uuid`;
    const bytes = made(Buffer.from(uuid));
    if (bytes === undefined) await store.delete(object);
    else await store.put(object, [bytes]);
  } finally {
    await store.close();
  }
}

type Finished = Exclude<Switched, { kind: 'blocked' }> | { readonly kind: 'filled' };

function* finish(engine: Engine, text: string, ours: LedgerSetting): Op<Finished> {
  const left = yield* anythingLeft(engine.dialect);
  const [, , [found = ''], rows, sessions] = yield* read(
    lockFigures,
    counterValue('nextSession', true),
    lockedRecordText,
    conversionRows,
    allSessions,
  );
  const { uuid } = parseSetting(text);
  const lock = lockOf(rows);
  // An earlier run whose answer was lost.
  if (lock === undefined && found === text) return { kind: 'encrypted', uuid, changed: [] };
  if (lock?.steps.has('confirmed') !== true) return { kind: 'not-confirmed' };
  const changed = changesOf(found, lock);
  if (!isMarked(found)) {
    yield* write(putSettingText(lockedText(lock.copy)), deleteLockRow(steps.confirmed));
    return { kind: 'reopened', changed };
  }
  if (left || liveSessionsAmong(sessions, nowSeconds()).length > 0) return { kind: 'filled' };
  yield* write(
    // What stood there of a key belongs to no record any more.
    ...deleteLedger(),
    ...ledgerSettingChanges(uuid, ours),
    putSettingText(text),
    ...deleteConversion(),
  );
  return { kind: 'encrypted', uuid, changed };
}

/** Whether the original client still refuses it. */
function isMarked(text: string): boolean {
  try {
    return parseRecord(text).get('MetaVersion') === CONVERSION_META_VERSION;
  } catch {
    return false;
  }
}

export interface Abandoned {
  readonly uuid: string;
  /** What another client had made of the record meanwhile, and is gone again. */
  readonly changed: readonly FieldChange[];
}

/**
 * Ends a conversion without turning anything on. After a wipe the file system goes on under a new UUID, so that no order to
 * wipe the old one is ever followed twice. Undefined: none was under way. Rejects failed-precondition (half wiped), refused.
 */
export async function abandon(place: FileSystemPlace, { owner }: { owner: Owner }): Promise<Abandoned | undefined> {
  const engine = await openEngine(place.metaUrl);
  try {
    const standing = await knownStanding(engine);
    const { lock, setting } = standing;
    if (lock === undefined) return undefined;
    refuseOtherOwner('give up a conversion', standing, owner);
    refuseHalfWiped(lock, setting.name);
    // From here on nobody else ends it the other way, while the object is put back.
    if (!(await engine.run(unconfirm, { durable: true, looksItself: true }))) return undefined;
    const wiped = lock.steps.has('wiped');
    const uuid = wiped ? await nextUuid(engine) : setting.uuid;
    const text = wiped ? newRecord(lock.copy, { uuid, key: undefined, encryptAlgo: undefined }) : lock.copy;
    // Only where something was done to it: giving up must not depend on a store that is away.
    if (wiped || lock.steps.has('next')) await putUuid(place, standing, uuid, (plain) => plain);
    const changed = await engine.run(() => release(text, wiped ? [putSetting('uuid', Buffer.from(uuid))] : []), {
      durable: true,
      looksItself: true,
    });
    return { uuid, changed };
  } finally {
    await engine.close();
  }
}

/** False when the lock is gone. */
function* unconfirm(): Op<boolean> {
  const [, rows] = yield* read(lockedRecordText, conversionRows);
  const lock = lockOf(rows);
  if (lock === undefined) return false;
  if (lock.steps.has('confirmed')) yield* write(deleteLockRow(steps.confirmed));
  return true;
}

function* release(text: string, more: readonly Change[]): Op<readonly FieldChange[]> {
  const [[found = ''], rows] = yield* read(lockedRecordText, conversionRows);
  const lock = lockOf(rows);
  if (lock === undefined) return [];
  yield* write(putSettingText(text), ...more, ...deleteConversion());
  return changesOf(found, lock);
}
