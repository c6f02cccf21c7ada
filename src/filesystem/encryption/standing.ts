// What a database says of its file system, whether or not a conversion is under way: then the copy of the record counts, and
// what anybody has made of the record since is only reported.
import { fail } from '../../base/errors.ts';
import { type FieldChange, putField, recordDifferences } from '../config-fields.ts';
import { CONVERSION, conversionRows, type LockRow, type StepRow, steps } from '../meta/conversion-lock.ts';
import { allSettings, type LedgerSetting, ledgerSettingOf, type Owner } from '../meta/ledger-setting.ts';
import { recordText } from '../meta/record-row.ts';
import { hasOurTables } from '../meta/schema.ts';
import { CONVERSION_META_VERSION, parseRecord, parseSetting, printRecord, type Setting } from '../meta/setting.ts';
import { type Reader, read } from '../sql/op.ts';
import type { ConversionStep } from './words.ts';

/** What stands in the database, whether or not a conversion is under way. */
export interface Standing {
  /** The record's text as it is now; under a lock nothing goes by it. */
  readonly text: string;
  /** Of the record, or under a lock of its copy. */
  readonly setting: Setting;
  readonly ours: LedgerSetting;
  readonly lock: Lock | undefined;
}

export interface Lock {
  /** The record as it was. */
  readonly copy: string;
  readonly since: bigint;
  readonly steps: ReadonlyMap<StepRow, LockRow>;
}

export const ownerOf = ({ ours }: Pick<Standing, 'ours'>): Owner => ours.owner ?? 'user';

/** Rejects refused. */
export function refuseOtherOwner(what: string, standing: Pick<Standing, 'setting' | 'ours'>, owner: Owner): void {
  const found = ownerOf(standing);
  if (found === owner) return;
  throw fail('refused', `${what}: file system ${standing.setting.name} belongs to ${owners[found]}`, {
    hint: `only its owner may do that, not ${owners[owner]}`,
  });
}

const owners: Readonly<Record<Owner, string>> = {
  operator: 'the operator, who made it for a FileSystem',
  csi: 'the CSI controller, which made it for a claim',
  user: 'the user who formatted it',
};

export function lockOf(rows: readonly LockRow[]): Lock | undefined {
  const lock = rows.find(({ name }) => name === CONVERSION);
  if (lock === undefined) return undefined;
  const known = Object.entries(steps) as [StepRow, string][];
  const found = known.flatMap(([step, name]) => {
    const row = rows.find((one) => one.name === name);
    return row === undefined ? [] : [[step, row] as const];
  });
  return { copy: lock.record.toString(), since: lock.since, steps: new Map(found) };
}

/** Undefined where there is no file system. */
export async function standingOf(reader: Reader): Promise<Standing | undefined> {
  const tables = await hasOurTables(reader);
  const found = await reader.view(function* () {
    const [[text], lock, settings] = yield* read(
      recordText,
      tables ? conversionRows : undefined,
      tables ? allSettings : undefined,
    );
    return { text, lock: lockOf(lock), ours: ledgerSettingOf(settings) };
  });
  const { text, lock, ours } = found;
  if (text === undefined && lock === undefined) return undefined;
  return { text: text ?? '', lock, ours, setting: parseSetting(lock?.copy ?? text ?? '') };
}

/** Of a database that holds a file system. Rejects not-formatted. */
export async function knownStanding(reader: Reader): Promise<Standing> {
  const standing = await standingOf(reader);
  if (standing === undefined) throw fail('not-formatted', `${reader.description} holds no file system`);
  return standing;
}

/** The record as it stands under the lock. */
export function lockedText(copy: string): string {
  const record = new Map(parseRecord(copy));
  putField(record, 'MetaVersion', CONVERSION_META_VERSION);
  return printRecord(record);
}

/** What somebody else has made of the record since it was locked. */
export function changesOf(text: string, { copy }: Lock): FieldChange[] {
  const expected = lockedText(copy);
  if (text === expected) return [];
  try {
    return recordDifferences(parseRecord(expected), parseRecord(text));
  } catch {
    return [{ name: 'the whole record', from: 'a record', to: undefined }];
  }
}

export function stepOf({ steps: done }: Lock): ConversionStep {
  // Whatever was done before: the record was back in use meanwhile, or is to be given up.
  if (!done.has('confirmed')) return 'waiting';
  if (done.has('next')) return 'switching';
  if (done.has('wiped')) return 'wiped';
  if (done.has('wiping')) return 'wiping';
  return 'confirmed';
}
