// What a change of the record's settings makes of the record: pure, field by field, in the original client's order, with
// everything it does not know kept. Also says what a person should be asked first.
import { fail } from '../base/errors.ts';
import { openAtRest, sealAtRest } from './keys/at-rest.ts';
import {
  CLIENT_VERSION,
  CONVERSION_META_VERSION,
  type Json,
  parseSetting,
  printRecord,
  type Setting,
  type SettingRecord,
} from './meta/setting.ts';
import { compareVersions, parseVersion } from './meta/version.ts';
import type { StoreSettings } from './store/store.ts';

/** What a record says of its store. */
type RecordedStore = Pick<
  StoreSettings,
  'storage' | 'bucket' | 'accessKey' | 'secretKey' | 'sessionToken' | 'storageClass' | 'uploadLimit' | 'downloadLimit'
>;

/** Secrets are sealed at rest, whatever the record did with them before; '' takes them away. */
export interface ConfigChange extends Partial<RecordedStore> {
  /** Bytes; 0 is no limit. */
  readonly capacity?: bigint;
  readonly inodes?: bigint;
  readonly trashDays?: number;
  readonly dirStats?: boolean;
  readonly userGroupQuota?: boolean;
  /** Cannot be taken back. */
  readonly enableAcl?: boolean;
  /** Seal credentials that lie in clear. */
  readonly encryptSecret?: boolean;
  readonly minClientVersion?: string;
  readonly maxClientVersion?: string;
}

export interface FieldChange {
  readonly name: string;
  readonly from: Json | undefined;
  readonly to: Json | undefined;
}

export interface Changed {
  readonly record: SettingRecord;
  readonly setting: Setting;
  readonly changes: readonly FieldChange[];
}

const MAX_TRASH_DAYS = 36_500;
const MAX_LIMIT = 2n ** 63n - 1n;
/** Access lists came with it. */
const ACL_CLIENT = '1.2.0-A';

/** The original client's order; fields that it leaves out when they are empty are marked. */
const order: readonly (readonly [name: string, omitted?: true])[] = [
  ['Name'], ['UUID'], ['Storage'], ['StorageClass', true], ['Tiers'], ['Bucket'], ['AccessKey', true],
  ['SecretKey', true], ['SessionToken', true], ['BlockSize'], ['Compression', true], ['Shards', true],
  ['HashPrefix', true], ['Capacity', true], ['Inodes', true], ['EncryptKey', true], ['EncryptAlgo', true],
  ['KeyEncrypted', true], ['UploadLimit', true], ['DownloadLimit', true], ['TrashDays'], ['MetaVersion', true],
  ['MinClientVersion', true], ['MaxClientVersion', true], ['DirStats', true], ['UserGroupQuota', true], ['EnableACL'],
]; // biome-ignore format: a table reads better than a column

const secretFields = ['SecretKey', 'SessionToken', 'EncryptKey'] as const;
const secretNames: ReadonlySet<string> = new Set(secretFields);

/** Rejects bad-input, refused. */
export function changedRecord(text: string, record: SettingRecord, change: ConfigChange): Changed {
  const setting = parseSetting(text);
  // Whoever asks has looked at the lock before; a conversion that began since is seen by its mark.
  if (setting.metaVersion === CONVERSION_META_VERSION)
    throw fail('busy', `config: the encryption of file system ${setting.name} is being turned on`);
  const next = new Map(record);
  const set = (name: string, value: Json | undefined): void => {
    if (value !== undefined) putField(next, name, value);
  };
  set('Capacity', limit('capacity', change.capacity));
  set('Inodes', limit('inodes', change.inodes));
  set('TrashDays', days(change.trashDays));
  set('Storage', change.storage);
  set('Bucket', change.bucket);
  set('AccessKey', change.accessKey);
  if (change.storageClass !== undefined) setStorageClass(next, change.storageClass);
  set('UploadLimit', change.uploadLimit);
  set('DownloadLimit', change.downloadLimit);
  set('DirStats', change.dirStats);
  set('UserGroupQuota', change.userGroupQuota);
  if (change.enableAcl === false && setting.enableAcl)
    throw fail('refused', 'config --enable-acl=false: access lists cannot be turned off again');
  if (change.enableAcl === true && !setting.enableAcl) {
    set('EnableACL', true);
    if (isOlder(String(fieldOf(next, 'MinClientVersion') ?? '0.0.0'), ACL_CLIENT)) set('MinClientVersion', ACL_CLIENT);
  }
  set('MinClientVersion', version('min-client-version', change.minClientVersion));
  set('MaxClientVersion', version('max-client-version', change.maxClientVersion));
  setSecrets(next, setting, change);
  const after = parseSetting(printRecord(next));
  const changes = [...recordDifferences(record, next), ...classChange(setting, after)];
  return { record: next, setting: after, changes };
}

function limit(name: string, value: bigint | undefined): bigint | undefined {
  if (value !== undefined && (value < 0n || value > MAX_LIMIT)) throw fail('bad-input', `config --${name} ${value}`);
  return value;
}

function days(value: number | undefined): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= MAX_TRASH_DAYS)) return value;
  throw fail('bad-input', `config --trash-days ${value}: wanted 0 to ${MAX_TRASH_DAYS}`);
}

/** '' takes the bound away. */
function version(flag: string, text: string | undefined): string | undefined {
  if (text !== undefined && text !== '' && parseVersion(text) === undefined)
    throw fail('bad-input', `config --${flag} ${JSON.stringify(text)}: wanted a version like 1.2.0`);
  if (text === undefined || text === '') return text;
  const shutsOut = flag.startsWith('min') ? isOlder(CLIENT_VERSION, text) : isOlder(text, CLIENT_VERSION);
  if (shutsOut)
    throw fail('refused', `config --${flag} ${text}: this release itself, which is as ${CLIENT_VERSION}, is outside`);
  return text;
}

function isOlder(a: string, b: string): boolean {
  const [left, right] = [parseVersion(a), parseVersion(b)];
  return left !== undefined && right !== undefined && compareVersions(left, right) < 0;
}

/** Of tier 0; the older field stays as it was found, as with the original client. */
function setStorageClass(record: Map<string, Json>, storageClass: string): void {
  const tiers = fieldOf(record, 'Tiers');
  const known = isObject(tiers) ? tiers : {};
  const first = known['0'];
  const zero = isObject(first) ? first : { ID: 0, StorageClass: '', Tag: '' };
  putField(record, 'Tiers', { ...known, '0': { ...zero, StorageClass: storageClass } });
}

const isObject = (value: Json | undefined): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const classChange = (before: Setting, after: Setting): FieldChange[] =>
  before.storageClass === after.storageClass
    ? []
    : [{ name: 'StorageClass', from: before.storageClass, to: after.storageClass }];

/** New secrets go in sealed, and then nothing stays beside them in clear. */
function setSecrets(record: Map<string, Json>, setting: Setting, change: ConfigChange): void {
  let sealed = setting.keyEncrypted;
  for (const [name, value] of [
    ['SecretKey', change.secretKey],
    ['SessionToken', change.sessionToken],
  ] as const) {
    if (value === undefined || value === openedOf(record, name, setting)) continue;
    if (value !== '' && !sealed) {
      sealAll(record, setting);
      sealed = true;
    }
    putField(record, name, value === '' ? '' : sealAtRest(setting.uuid, Buffer.from(value)));
    if (value !== '') putField(record, 'KeyEncrypted', true);
  }
  if (change.encryptSecret === true && !sealed) sealAll(record, setting);
  // As the original client: the mark goes with the last secret.
  const touched = change.secretKey !== undefined || change.sessionToken !== undefined;
  if (touched && secretFields.every((name) => (fieldOf(record, name) ?? '') === ''))
    putField(record, 'KeyEncrypted', false);
}

/** Undefined for what cannot be opened, as after a dump. */
function openedOf(record: SettingRecord, name: string, setting: Setting): string | undefined {
  const value = String(fieldOf(record, name) ?? '');
  if (value === '' || !setting.keyEncrypted) return value;
  try {
    return openAtRest(setting.uuid, value).toString();
  } catch {
    return undefined;
  }
}

function sealAll(record: Map<string, Json>, setting: Setting): void {
  for (const name of secretFields) {
    const value = fieldOf(record, name);
    if (typeof value !== 'string' || value === '' || value === 'removed') continue;
    putField(record, name, sealAtRest(setting.uuid, Buffer.from(value)));
    putField(record, 'KeyEncrypted', true);
  }
}

const keyOf = (record: SettingRecord, name: string): string | undefined =>
  record.has(name) ? name : [...record.keys()].find((key) => key.toLowerCase() === name.toLowerCase());

export function fieldOf(record: SettingRecord, name: string): Json | undefined {
  const key = keyOf(record, name);
  return key === undefined ? undefined : record.get(key);
}

/** In place where it is there, else before the first field that comes after it in the original client's order. */
export function putField(record: Map<string, Json>, name: string, value: Json): void {
  const key = keyOf(record, name);
  const at = order.findIndex(([known]) => known === name);
  const empty = value === '' || value === false || value === 0 || value === 0n;
  if (empty && order[at]?.[1] === true) {
    if (key !== undefined) record.delete(key);
    return;
  }
  if (key !== undefined) {
    record.set(key, value);
    return;
  }
  const later = new Set(order.slice(at + 1).map(([known]) => known.toLowerCase()));
  const fields = [...record];
  const before = fields.findIndex(([found]) => later.has(found.toLowerCase()));
  fields.splice(before < 0 ? fields.length : before, 0, [name, value]);
  record.clear();
  for (const [found, old] of fields) record.set(found, old);
}

export function recordDifferences(before: SettingRecord, after: SettingRecord): FieldChange[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  const same = (a: Json | undefined, b: Json | undefined): boolean => a === b || String(a) === String(b);
  const shown = (name: string, value: Json | undefined) =>
    secretNames.has(name) && value !== undefined ? 'removed' : value;
  return [...names]
    .filter((name) => !(typeof before.get(name) === 'object') && !same(before.get(name), after.get(name)))
    .map((name) => ({ name, from: shown(name, before.get(name)), to: shown(name, after.get(name)) }));
}
