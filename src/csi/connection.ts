// What a Secret names becomes the one place of a file system: placeholder filled in, embedded mode's defaults, and the
// rules for what a Secret may name at all. Text only; embedded.ts looks at the disk.
import { posix } from 'node:path';
import { fail } from '../base/errors.ts';
import type { Connection } from '../config/secret.ts';
import { FILE_SYSTEM_PLACEHOLDER, secretNames } from '../config/secret-names.ts';

/** The longest name the original client takes. */
const MAX_NAME = 63;
const NAME_RULE = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

export interface Place {
  /** Name of the file system; undefined where the Secret gives none (nodes take it from the record). */
  readonly name: string | undefined;
  readonly metaUrl: string;
  readonly storage: string;
  readonly bucket: string;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  /** Database file and object folder: node paths, so only below the embedded directory. */
  readonly files: { readonly database: string; readonly bucket: string };
}

export interface PlaceOptions {
  /** Embedded mode's one directory; undefined: no node path is allowed. */
  readonly embedded: string | undefined;
  /** Fills the placeholder; undefined where none is known (static volumes). */
  readonly fileSystem: string | undefined;
}

/** In embedded mode everything of a volume has a default, below a folder of its own. */
function withDefaults(connection: Connection, embedded: string | undefined): Connection {
  if (embedded === undefined) return connection;
  const own = `${embedded}/${FILE_SYSTEM_PLACEHOLDER}`;
  const metaUrl = connection.metaUrl ?? `sqlite3://${own}/meta.db`;
  return {
    ...connection,
    name: connection.name ?? (connection.metaUrl === undefined ? FILE_SYSTEM_PLACEHOLDER : undefined),
    metaUrl,
    storage: connection.storage ?? 'file',
    bucket: connection.bucket ?? `${own}/objects/`,
  };
}

/**
 * Whether each volume gets a file system of its own. Metadata and objects must agree: one database holds one file
 * system, and two file systems of one name in one bucket would share their objects.
 */
export function isPerVolume(given: Connection, embedded: string | undefined): boolean {
  const { metaUrl, name, bucket } = withDefaults(given, embedded);
  const own = (value: string | undefined): boolean => value?.includes(FILE_SYSTEM_PLACEHOLDER) === true;
  if (own(metaUrl) === (own(name) || own(bucket))) return own(metaUrl);
  throw fail(
    'bad-input',
    `secret: ${FILE_SYSTEM_PLACEHOLDER} must stand in ${secretNames.metaUrl} and in ${secretNames.name} or ${secretNames.bucket}, or in none of them`,
  );
}

export function placeOf(given: Connection, options: PlaceOptions): Place {
  const connection = withDefaults(given, options.embedded);
  const fill = (value: string): string => {
    if (!value.includes(FILE_SYSTEM_PLACEHOLDER)) return value;
    if (options.fileSystem === undefined)
      throw fail(
        'bad-input',
        `secret: ${FILE_SYSTEM_PLACEHOLDER} has a meaning only for volumes that the provisioner made`,
      );
    return value.replaceAll(FILE_SYSTEM_PLACEHOLDER, options.fileSystem);
  };
  const needed = (value: string | undefined, name: string): string => {
    if (value === undefined) throw fail('bad-input', `secret: ${name}: is missing`);
    return fill(value);
  };
  const name = connection.name === undefined ? undefined : checkedName(fill(connection.name));
  const metaUrl = needed(connection.metaUrl, secretNames.metaUrl);
  const storage = needed(connection.storage ?? 'file', secretNames.storage);
  const database = databaseFile(metaUrl, options.embedded);
  const bucket = bucketFolder(storage, needed(connection.bucket, secretNames.bucket), options.embedded);
  const { accessKey, secretKey } = connection;
  return { name, metaUrl, storage, bucket: `${bucket}/`, accessKey, secretKey, files: { database, bucket } };
}

function checkedName(name: string): string {
  if (name.length > MAX_NAME)
    throw fail('bad-input', `secret: ${secretNames.name}: longer than ${MAX_NAME} characters`);
  if (!NAME_RULE.test(name))
    throw fail(
      'bad-input',
      `secret: ${secretNames.name}: wanted 3 to ${MAX_NAME} lower-case letters, digits and inner dashes`,
    );
  return name;
}

const onlyEmbedded = (what: string): Error =>
  fail('refused', `secret: ${what} are paths of a node and work only in embedded mode, below its one directory`, {
    hint: 'set embedded.enabled, embedded.node and embedded.directory for a trial on one node; use PostgreSQL and S3 otherwise',
  });

function databaseFile(metaUrl: string, embedded: string | undefined): string {
  const match = /^([a-z0-9+]+):\/\/([^?]*)(\?.*)?$/i.exec(metaUrl);
  const scheme = match?.[1]?.toLowerCase();
  if (scheme === undefined) throw fail('bad-input', `secret: ${secretNames.metaUrl}: wanted scheme://...`);
  if (scheme !== 'sqlite3')
    throw fail('unsupported', `secret: ${secretNames.metaUrl}: engine ${scheme} is not supported`);
  return below(embedded, match?.[2] ?? '', 'sqlite3 databases');
}

function bucketFolder(storage: string, bucket: string, embedded: string | undefined): string {
  if (storage !== 'file') throw fail('unsupported', `secret: ${secretNames.storage}: ${storage} is not supported`);
  return below(embedded, bucket.replace(/\/+$/, ''), 'file buckets');
}

/** Compared as text, after refusing every path that is not its own shortest form. */
function below(embedded: string | undefined, path: string, what: string): string {
  if (embedded === undefined) throw onlyEmbedded(what);
  const isShortest = path === posix.normalize(path) && !path.endsWith('/') && !path.includes('\0');
  if (!isShortest || !path.startsWith(`${embedded}/`)) throw onlyEmbedded(what);
  return path;
}

/** What tells this file system from others: never a credential. */
export const identityOf = (place: Place): readonly string[] => [
  withoutCredentials(place.metaUrl),
  place.storage,
  withoutCredentials(place.bucket),
  place.name ?? '',
];

const withoutCredentials = (url: string): string => url.replace(/\/\/[^@/?#]*@/, '//');
