// What decides how a new file system is written: the fields that StorageClass parameters and the Secret's
// `format-options` ("trash-days=1,block-size=4M") have in common.
import { fail } from '../base/errors.ts';
import { pageSizeOf } from './page-size.ts';

export const compressions = ['none', 'lz4', 'zstd'] as const;
export type Compression = (typeof compressions)[number];
export const algorithms = ['aes256gcm-rsa', 'chacha20-rsa'] as const;
export type Algorithm = (typeof algorithms)[number];

export interface FormatOptions {
  readonly pageSize?: number;
  readonly compression?: Compression;
  readonly trashDays?: number;
  readonly hashPrefix?: boolean;
  readonly enableAcl?: boolean;
  readonly algorithm?: Algorithm;
}

/** Longest trash: a hundred years; larger numbers overflow times elsewhere. */
export const MAX_TRASH_DAYS = 36_500;

/** Flags of the original client's format that change nothing here. */
const withoutMeaning: ReadonlySet<string> = new Set([
  'no-update',
  'v',
  'verbose',
  'debug',
  'quiet',
  'trace',
  'no-color',
]);

const bad = (name: string, wanted: string): Error => fail('bad-input', `format-options: ${name}: wanted ${wanted}`);

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value.toLowerCase());
  if (found === undefined) throw bad(name, allowed.join(' or '));
  return found;
}

export function parseFlag(value: string): boolean | undefined {
  if (value === '' || value === 'true') return true;
  return value === 'false' ? false : undefined;
}

export function trashDaysOf(value: string): number | undefined {
  return /^[0-9]{1,5}$/.test(value) && Number(value) <= MAX_TRASH_DAYS ? Number(value) : undefined;
}

function parseOne(name: string, value: string): FormatOptions {
  switch (name) {
    case 'block-size': {
      const pageSize = pageSizeOf(value);
      if (pageSize === undefined) throw bad(name, 'a power of two between 64K and 16M');
      return { pageSize };
    }
    case 'compress':
      return { compression: oneOf(name, value, compressions) };
    case 'trash-days': {
      const trashDays = trashDaysOf(value);
      if (trashDays === undefined) throw bad(name, `a number up to ${MAX_TRASH_DAYS}`);
      return { trashDays };
    }
    case 'hash-prefix': {
      const hashPrefix = parseFlag(value);
      if (hashPrefix === undefined) throw bad(name, 'true or false');
      return { hashPrefix };
    }
    case 'enable-acl': {
      const enableAcl = parseFlag(value);
      if (enableAcl === undefined) throw bad(name, 'true or false');
      return { enableAcl };
    }
    case 'encrypt-algo':
      return { algorithm: oneOf(name, value, algorithms) };
    default:
      if (withoutMeaning.has(name)) return {};
      throw fail('bad-input', `format-options: ${name} is not supported`);
  }
}

export function parseFormatOptions(text: string): FormatOptions {
  let options: FormatOptions = {};
  for (const part of text.split(',')) {
    const item = part.trim().replace(/^-+/, '');
    if (item === '') continue;
    const equals = item.indexOf('=');
    const name = equals < 0 ? item : item.slice(0, equals).trim();
    options = { ...options, ...parseOne(name, equals < 0 ? '' : item.slice(equals + 1).trim()) };
  }
  return options;
}

/** A setting named twice must agree; which of two wins would be a guess. */
export function mergeFormatOptions(parameters: FormatOptions, secret: FormatOptions): FormatOptions {
  for (const name of Object.keys(secret) as (keyof FormatOptions)[])
    if (parameters[name] !== undefined && parameters[name] !== secret[name])
      throw fail('bad-input', `${name}: the storage class and the secret's format-options differ`);
  return { ...secret, ...parameters };
}
