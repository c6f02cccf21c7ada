// The setting record (the original client's "Format" JSON): read by Go's rules, written in the original client's style,
// unknown fields kept. Pure text work: no database, no secrets opened.
import { fail } from '../../base/errors.ts';
import { KiB, MiB } from '../../base/units.ts';
import { compareVersions, parseVersion } from './version.ts';

/** Versions of the record that we read: 1 of all releases so far, and ours, which the original client cannot decode. */
export const META_VERSION = 1;
export const PAGESEAL_META_VERSION = 'pageseal-1';
/** What the original client's release is whose format we know; compared with MinClientVersion and MaxClientVersion. */
export const CLIENT_VERSION = '1.4.2';

export type Json = string | number | bigint | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Setting {
  readonly name: string;
  readonly uuid: string;
  readonly storage: string;
  readonly bucket: string;
  readonly accessKey: string;
  /** At rest: encrypted when keyEncrypted. */
  readonly secretKey: string;
  /** At rest, too. */
  readonly sessionToken: string;
  /** Of new objects; '' is the bucket's own. */
  readonly storageClass: string;
  /** Mbit/s; 0 is no limit. */
  readonly uploadLimit: number;
  readonly downloadLimit: number;
  /** Bytes of a full page. */
  readonly pageSize: number;
  /** 'none', 'lz4' or 'zstd'. */
  readonly compression: string;
  readonly shards: number;
  readonly hashPrefix: boolean;
  /** Bytes; 0 is none. */
  readonly capacity: bigint;
  readonly inodes: bigint;
  /** At rest; '' when the key is not in the record. */
  readonly encryptKey: string;
  readonly encryptAlgo: string;
  readonly keyEncrypted: boolean;
  readonly trashDays: number;
  readonly metaVersion: number | string;
  readonly dirStats: boolean;
  readonly userGroupQuota: boolean;
  readonly enableAcl: boolean;
  readonly changeLog: boolean;
  /** The record as it stands, in its order, for rewriting. */
  readonly record: SettingRecord;
}

/** Field names as found, and their values; unknown ones included. */
export type SettingRecord = ReadonlyMap<string, Json>;

const MIN_PAGE = 64 * KiB;
const MAX_PAGE = 16 * MiB;
/** Records hold a PEM at most; a larger one is none. */
const MAX_TEXT = 1 * MiB;

/** Page sizes, days, shard counts: nothing sensible is larger. */
const MAX_SMALL = 2 ** 31;

/** Text to record: any JSON object. Integers beyond 2^53 (Capacity is a uint64) stay exact. */
export function parseRecord(text: string): SettingRecord {
  if (text.length > MAX_TEXT) throw fail('metadata-damaged', 'setting record: longer than 1 MiB');
  let value: Json;
  try {
    value = JSON.parse(text, exactIntegers as (key: string, value: unknown) => unknown) as Json;
  } catch (cause) {
    throw fail('metadata-damaged', 'setting record: not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw fail('metadata-damaged', 'setting record: wanted a JSON object');
  return new Map(Object.entries(value));
}

/** The third argument of a reviver carries the source text (ECMAScript 2025 proposal, in Node 26). */
export function exactIntegers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined) return value;
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** Go's rule: an exact match of the name wins, else one that differs in case only (the last of several). */
function lookUp(record: SettingRecord, name: string): Json | undefined {
  const exact = record.get(name);
  if (exact !== undefined) return exact;
  const wanted = name.toLowerCase();
  let found: Json | undefined;
  for (const [key, value] of record) if (key.toLowerCase() === wanted) found = value;
  return found;
}

type Kind = { string: string; boolean: boolean; integer: bigint };

/** The field, or the zero value of Go when it is absent or null; a wrong type is an error as in Go. */
function field<K extends keyof Kind>(record: SettingRecord, name: string, kind: K, zero: Kind[K]): Kind[K] {
  const value = lookUp(record, name);
  if (value === undefined || value === null) return zero;
  const integer = kind === 'integer' && (typeof value === 'bigint' || Number.isSafeInteger(value));
  if (integer) return BigInt(value as number | bigint) as Kind[K];
  if (kind !== 'integer' && typeof value === kind) return value as Kind[K];
  throw fail('metadata-damaged', `setting record: ${name}: wanted ${kind}, found ${typeof value}`);
}

/** The UUID that a record says, whatever else it says; undefined when it is none that can be read. */
export function uuidIn(text: string): string | undefined {
  try {
    const uuid = lookUp(parseRecord(text), 'UUID');
    return typeof uuid === 'string' ? uuid : undefined;
  } catch {
    return undefined;
  }
}

export function parseSetting(text: string): Setting {
  const record = parseRecord(text);
  const metaVersion = metaVersionOf(record);
  const string = (name: string): string => field(record, name, 'string', '');
  const flag = (name: string): boolean => field(record, name, 'boolean', false);
  const integer = (name: string): bigint => field(record, name, 'integer', 0n);
  const small = (name: string): number => narrow(name, integer(name));
  const setting: Setting = {
    name: string('Name'),
    uuid: string('UUID'),
    storage: string('Storage').toLowerCase(),
    bucket: string('Bucket'),
    accessKey: string('AccessKey'),
    secretKey: string('SecretKey'),
    sessionToken: string('SessionToken'),
    storageClass: storageClassOf(record),
    uploadLimit: small('UploadLimit'),
    downloadLimit: small('DownloadLimit'),
    pageSize: small('BlockSize') * KiB,
    compression: string('Compression').toLowerCase() || 'none',
    shards: small('Shards'),
    hashPrefix: flag('HashPrefix'),
    capacity: integer('Capacity'),
    inodes: integer('Inodes'),
    encryptKey: string('EncryptKey'),
    encryptAlgo: string('EncryptAlgo') || 'aes256gcm-rsa',
    keyEncrypted: flag('KeyEncrypted'),
    trashDays: small('TrashDays'),
    metaVersion,
    dirStats: flag('DirStats'),
    userGroupQuota: flag('UserGroupQuota'),
    enableAcl: flag('EnableACL'),
    changeLog: flag('ChangeLog'),
    record,
  };
  validate(setting);
  checkClientVersion(string('MinClientVersion'), string('MaxClientVersion'));
  return setting;
}

/** Of tier 0, which since 1.4 stands in place of the older field; both are there when format wrote a class. */
function storageClassOf(record: SettingRecord): string {
  const tiers = lookUp(record, 'Tiers');
  const isObject = typeof tiers === 'object' && tiers !== null && !Array.isArray(tiers);
  const first = isObject ? (tiers as { readonly [id: string]: Json })['0'] : undefined;
  if (typeof first !== 'object' || first === null || Array.isArray(first))
    return field(record, 'StorageClass', 'string', '');
  return field(new Map(Object.entries(first)), 'StorageClass', 'string', '');
}

function narrow(name: string, value: bigint): number {
  const small = Number(value);
  if (Math.abs(small) <= MAX_SMALL) return small;
  throw fail('metadata-damaged', `setting record: ${name}: ${value} is out of range`);
}

/** 1, "pageseal-1", 2 (which may be a conversion under way: the caller looks for the lock row), else newer-format. */
function metaVersionOf(record: SettingRecord): number | string {
  const value = lookUp(record, 'MetaVersion') ?? 0;
  if (value === 0 || value === META_VERSION || value === PAGESEAL_META_VERSION) return value;
  if (value === CONVERSION_META_VERSION) return value;
  throw newerFormat(value);
}

/** Written while encryption is being turned on, together with a row in our lock table. */
export const CONVERSION_META_VERSION = 2;

export const newerFormat = (found: unknown): Error =>
  fail(
    'newer-format',
    `metadata version: wanted ${META_VERSION} or "${PAGESEAL_META_VERSION}", found ${typeof found === 'bigint' ? found : JSON.stringify(found)}`,
    { hint: 'use a newer release of this program' },
  );

function validate(setting: Setting): void {
  for (const name of ['name', 'uuid', 'storage', 'bucket'] as const)
    if (setting[name] === '') throw fail('metadata-damaged', `setting record: ${name} is missing`);
  // Part of every object's key, and of a folder that is removed with all in it.
  if (/[/\0]/.test(setting.name) || setting.name === '.' || setting.name === '..')
    throw fail('metadata-damaged', `setting record: Name ${JSON.stringify(setting.name)} leads out of the bucket`);
  const { pageSize } = setting;
  const power = Number.isInteger(Math.log2(pageSize));
  if (!power || pageSize < MIN_PAGE || pageSize > MAX_PAGE)
    throw fail(
      'metadata-damaged',
      `setting record: BlockSize: wanted a power of two, 64 to 16384, found ${pageSize / KiB}`,
    );
  if (setting.trashDays < 0) throw fail('metadata-damaged', `setting record: TrashDays ${setting.trashDays}`);
}

function checkClientVersion(min: string, max: string): void {
  const ours = parseVersion(CLIENT_VERSION);
  const check = (text: string, name: string, wrong: (order: number) => boolean): void => {
    if (text === '') return;
    const wanted = parseVersion(text);
    if (wanted === undefined || ours === undefined)
      throw fail('metadata-damaged', `setting record: ${name} ${JSON.stringify(text)} is no version`);
    if (wrong(compareVersions(ours, wanted)))
      throw fail('newer-format', `format of client version ${CLIENT_VERSION}: the volume wants ${name} ${text}`);
  };
  check(min, 'MinClientVersion', (order) => order < 0);
  check(max, 'MaxClientVersion', (order) => order > 0);
}

/** One field per line, no indentation, Go's escaping: what the original client writes, byte for byte. */
export function printRecord(record: SettingRecord): string {
  return print(Object.fromEntries(record));
}

function print(value: Json): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string') return goString(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const array = Array.isArray(value);
  const parts = array
    ? (value as readonly Json[]).map(print)
    : Object.entries(value as { readonly [key: string]: Json }).map(
        ([key, inner]) => `${goString(key)}: ${print(inner)}`,
      );
  const [open, close] = array ? '[]' : '{}';
  return parts.length === 0 ? `${open}${close}` : `${open}\n${parts.join(',\n')}\n${close}`;
}

/** Go escapes <, >, & and the two line separators, and has no \b and \f before 1.22 (kept by its encoder's HTML mode). */
export function goString(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
