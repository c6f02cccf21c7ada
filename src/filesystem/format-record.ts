// What format makes of its options: the checked record, in the original client's field order, and our own settings. Pure
// but for random bytes; touches neither database nor store.
import { resolve } from 'node:path';
import { uuidBytes } from '../base/bytes.ts';
import { fail } from '../base/errors.ts';
import { KiB, MiB } from '../base/units.ts';
import { sealAtRest } from './keys/at-rest.ts';
import { isPublicPem, isSealedPem, readPrivateKey, readPublicKey } from './keys/read-key.ts';
import type { PublicKey } from './keys/volume-key.ts';
import type { LedgerSetting, Owner } from './meta/ledger-setting.ts';
import { META_VERSION, PAGESEAL_META_VERSION, type SettingRecord } from './meta/setting.ts';
import { Ledger } from './page/ledger.ts';
import { parseEncryptAlgo } from './page/seal.ts';
import { recordedPlace } from './store/s3-address.ts';
import type { StoreSettings } from './store/store.ts';

export type FormatKey =
  | { readonly kind: 'none' }
  /** Stays with the user. A public or a private PEM; without any, the first mount that brings the key claims the volume. */
  | { readonly kind: 'self-managed'; readonly pem?: Buffer; readonly passphrase?: Buffer }
  /** In the record, as the original client keeps it. Opened only when it needs no passphrase or one is given. */
  | { readonly kind: 'in-metadata'; readonly pem: Buffer; readonly passphrase?: Buffer };

export interface FormatOptions {
  readonly metaUrl: string;
  readonly name: string;
  /** Default: random. Given where it is derived, so that a repeated call finds its volume. */
  readonly uuid?: string;
  readonly store: StoreSettings;
  readonly key: FormatKey;
  /** none, lz4 or zstd. */
  readonly compression?: string;
  /** Rounded down to a power of two from 64 KiB to 16 MiB, as the original client does. */
  readonly pageSize?: number;
  readonly trashDays?: number;
  readonly hashPrefix?: boolean;
  readonly encryptAlgo?: string;
  /** Bytes; 0 is no limit. */
  readonly capacity?: bigint;
  readonly inodes?: bigint;
  /** POSIX access control lists; not to be turned off again. */
  readonly enableAcl?: boolean;
  /** Who alone may wipe it and turn its encryption on. Default: user. */
  readonly owner?: Owner;
  /** An existing volume is left as it is, whatever its settings. */
  readonly noUpdate?: boolean;
}

const NAME_RULE = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
const MIN_PAGE = 64 * KiB;
const MAX_PAGE = 16 * MiB;
const DEFAULT_PAGE = 4 * MiB;
const DEFAULT_TRASH_DAYS = 1;
/** A century: more is a slip of the keyboard. */
const MAX_TRASH_DAYS = 36_500;
/** 64-bit signed, as SQLite and PostgreSQL have it. */
const MAX_LIMIT = 2n ** 63n - 1n;
const compressions: ReadonlySet<string> = new Set(['none', 'lz4', 'zstd']);
/** The oldest clients that keep what a volume has. */
const MIN_CLIENT = '1.1.0-A';
const MIN_CLIENT_LISTS = '1.2.0-A';

export function checkName(name: string): void {
  if (!NAME_RULE.test(name))
    throw fail(
      'bad-input',
      `name ${JSON.stringify(name)}: wanted 3 to 63 lower-case letters, digits and dashes, no dash at the ends`,
    );
}

/** Largest power of two that is not larger, within the format's bounds. */
export function roundPageSize(bytes: number): number {
  if (!Number.isFinite(bytes) || bytes < 1) throw fail('bad-input', `page size ${bytes}: wanted 64 KiB to 16 MiB`);
  return Math.min(MAX_PAGE, Math.max(MIN_PAGE, 2 ** Math.floor(Math.log2(bytes))));
}

/** `file` folders become absolute and end in '/', as the original client stores them; other places as it finds them, too. */
export function normaliseStore(store: StoreSettings): StoreSettings {
  const storage = store.storage.toLowerCase();
  if (store.bucket === '') throw fail('bad-input', 'bucket: wanted the place of the objects, found nothing');
  // What stands there is shown, and nobody seals it.
  if (storage !== 'file' && store.bucket.includes('@'))
    throw fail('bad-input', 'bucket: wanted an address without user and password', {
      hint: 'give keys by --access-key and --secret-key, or by ACCESS_KEY and SECRET_KEY in the environment',
    });
  if (storage !== 'file') return { ...store, ...recordedPlace(storage, store.bucket) };
  const folder = resolve(store.bucket);
  return { ...store, storage, bucket: folder.endsWith('/') ? folder : `${folder}/` };
}

export function checkUuid(uuid: string): string {
  if (uuidBytes(uuid) === undefined) throw fail('bad-input', `UUID ${JSON.stringify(uuid)}: not a UUID`);
  return uuid.toLowerCase();
}

export interface KeyMaterial {
  /** Undefined when nothing of the key was read. */
  readonly publicKey?: PublicKey;
  readonly ours: LedgerSetting;
}

/** Reads the key as far as it is needed: a private one is dropped again once the ledger key is sealed under it. */
export function readFormatKey(key: FormatKey, uuid: string): KeyMaterial {
  if (key.kind === 'none') return { ours: { custody: 'unencrypted', mode: 'lenient' } };
  const mode = key.kind === 'self-managed' ? 'strict' : 'lenient';
  const bare: LedgerSetting = { custody: key.kind, mode };
  if (key.pem === undefined) return { ours: bare };
  if (isPublicPem(key.pem)) {
    if (key.kind === 'in-metadata')
      throw fail('damaged-key', 'format with a key in the metadata: wanted a private key, found a public one');
    const publicKey = readPublicKey(key.pem);
    publicKey.assertFitForNewVolume();
    return { publicKey, ours: { ...bare, keyCheck: publicKey.check } };
  }
  const noPassphrase = key.passphrase === undefined || key.passphrase.length === 0;
  // A controller stores such a key unopened: it holds no passphrase.
  if (key.kind === 'in-metadata' && noPassphrase && isSealedPem(key.pem)) return { ours: bare };
  const opened = readPrivateKey(key.pem, key.passphrase);
  try {
    opened.assertFitForNewVolume();
    const ledger = Ledger.create(uuid);
    const blob = ledger.blob(opened);
    ledger.wipe();
    return { publicKey: opened, ours: { ...bare, keyCheck: opened.check, ledger: blob } };
  } finally {
    opened.wipe();
  }
}

/** Fields in the order of the original client's structure, with the same ones left out when empty. */
export function makeRecord(options: FormatOptions, uuid: string): SettingRecord {
  const { name, key, enableAcl = false } = options;
  checkName(name);
  const store = normaliseStore(options.store);
  const compression = (options.compression ?? 'none').toLowerCase() || 'none';
  if (!compressions.has(compression))
    throw fail('bad-input', `compression ${JSON.stringify(compression)}: wanted none, lz4 or zstd`);
  const trashDays = options.trashDays ?? DEFAULT_TRASH_DAYS;
  if (!Number.isInteger(trashDays) || trashDays < 0 || trashDays > MAX_TRASH_DAYS)
    throw fail('bad-input', `trash days ${trashDays}: wanted 0 to ${MAX_TRASH_DAYS}`);
  const pem = key.kind === 'in-metadata' ? key.pem : undefined;
  const atRest = (secret: Buffer): string => sealAtRest(uuid, secret);
  const { storageClass = '', secretKey = '', sessionToken = '' } = store;
  const secrets = pem !== undefined || secretKey !== '' || sessionToken !== '';
  return new Map(
    Object.entries({
      Name: name,
      UUID: uuid,
      Storage: store.storage,
      ...(storageClass !== '' && { StorageClass: storageClass }),
      Tiers: { '0': { ID: 0, StorageClass: storageClass, Tag: '' } },
      Bucket: store.bucket,
      ...(store.accessKey ? { AccessKey: store.accessKey } : {}),
      ...(secretKey !== '' && { SecretKey: atRest(Buffer.from(secretKey)) }),
      ...(sessionToken !== '' && { SessionToken: atRest(Buffer.from(sessionToken)) }),
      BlockSize: roundPageSize(options.pageSize ?? DEFAULT_PAGE) / KiB,
      Compression: compression,
      ...(options.hashPrefix === true ? { HashPrefix: true } : {}),
      ...limit('Capacity', options.capacity),
      ...limit('Inodes', options.inodes),
      ...(pem === undefined ? {} : { EncryptKey: atRest(pem) }),
      EncryptAlgo: parseEncryptAlgo(options.encryptAlgo ?? ''),
      ...(secrets ? { KeyEncrypted: true } : {}),
      ...(store.uploadLimit && { UploadLimit: store.uploadLimit }),
      ...(store.downloadLimit && { DownloadLimit: store.downloadLimit }),
      TrashDays: trashDays,
      // The original client must not take a volume whose key it does not have for an unencrypted one.
      MetaVersion: key.kind === 'self-managed' ? PAGESEAL_META_VERSION : META_VERSION,
      MinClientVersion: enableAcl ? MIN_CLIENT_LISTS : MIN_CLIENT,
      DirStats: true,
      EnableACL: enableAcl,
    }),
  );
}

function limit(name: string, value: bigint | undefined): { readonly [name: string]: bigint } {
  if (value === undefined || value === 0n) return {};
  if (value < 0n || value > MAX_LIMIT) throw fail('bad-input', `${name.toLowerCase()} ${value}: out of range`);
  return { [name]: value };
}
