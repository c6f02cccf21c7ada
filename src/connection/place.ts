// What a Secret names becomes the one place of a file system: placeholder filled in, embedded mode's defaults, and the
// rules for what a Secret may name at all. Text only; csi/embedded.ts looks at the disk.

import { posix } from 'node:path';
import { fail } from '../base/errors.ts';
import type { Connection } from '../config/secret.ts';
import { FILE_SYSTEM_PLACEHOLDER, secretNames } from '../config/secret-names.ts';
import { checkPlaceholder, postgresPlace } from './postgres-url.ts';
import { checkStorePlace, type StoreRules } from './store-place.ts';

/** The longest name the original client takes. */
const MAX_NAME = 63;
const NAME_RULE = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

export interface Place {
  /** Name of the file system; undefined where the Secret gives none (nodes take it from the record). */
  readonly name: string | undefined;
  /** With everything that opens it. */
  readonly metaUrl: string;
  readonly storage: string;
  readonly bucket: string;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  readonly sessionToken: string | undefined;
  readonly caBundle: string | undefined;
  /** Where the metadata is, however that is spelled; never a credential. */
  readonly identity: string;
  /** PostgreSQL's schema that is this volume's alone: made with it and dropped with it. */
  readonly ownSchema: string | undefined;
  /** Database file and object folder: node paths, so only below the embedded directory. Undefined: not on a node. */
  readonly files: { readonly database: string | undefined; readonly bucket: string | undefined };
}

/** What the driver's administrator allows Secrets to name. */
export interface PlaceRules extends StoreRules {
  /** Embedded mode's one directory; undefined: no node path is allowed. */
  readonly embedded: string | undefined;
}

export interface PlaceOptions extends PlaceRules {
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
  const metadata = metadataOf(needed(connection.metaUrl, secretNames.metaUrl), connection, options);
  const storage = needed(connection.storage ?? 'file', secretNames.storage);
  const objects = objectsOf(storage, needed(connection.bucket, secretNames.bucket), connection, options);
  const { accessKey, secretKey, sessionToken, caBundle } = connection;
  return {
    name,
    metaUrl: metadata.metaUrl,
    storage,
    bucket: objects.bucket,
    accessKey,
    secretKey,
    sessionToken,
    caBundle,
    identity: metadata.identity,
    ownSchema: connection.metaUrl?.includes(FILE_SYSTEM_PLACEHOLDER) ? metadata.schema : undefined,
    files: { database: metadata.file, bucket: objects.folder },
  };
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

interface Metadata {
  readonly metaUrl: string;
  readonly identity: string;
  readonly schema: string | undefined;
  readonly file: string | undefined;
}

function metadataOf(metaUrl: string, connection: Connection, options: PlaceOptions): Metadata {
  const match = /^([a-z0-9+]+):\/\/([^?]*)(\?.*)?$/i.exec(metaUrl);
  const scheme = match?.[1]?.toLowerCase();
  if (scheme === undefined) throw fail('bad-input', `secret: ${secretNames.metaUrl}: wanted scheme://...`);
  if (scheme === 'postgres' || scheme === 'postgresql') {
    checkPlaceholder(connection.metaUrl ?? '');
    return { ...postgresPlace(metaUrl, connection, options.endpoints), file: undefined };
  }
  if (scheme !== 'sqlite3')
    throw fail('unsupported', `secret: ${secretNames.metaUrl}: engine ${scheme} is not supported`);
  const file = below(options.embedded, match?.[2] ?? '', 'sqlite3 databases');
  return { metaUrl, identity: metaUrl, schema: undefined, file };
}

interface Objects {
  readonly bucket: string;
  readonly folder: string | undefined;
}

function objectsOf(storage: string, bucket: string, connection: Connection, options: PlaceOptions): Objects {
  // Of one process, for tests: another one would find nothing there.
  if (storage === 'mem') throw fail('unsupported', `secret: ${secretNames.storage}: ${storage} is not supported`);
  if (storage === 'file') {
    const folder = below(options.embedded, bucket.replace(/\/+$/, ''), 'file buckets');
    return { bucket: `${folder}/`, folder };
  }
  checkStorePlace(storage, bucket, connection, options);
  return { bucket, folder: undefined };
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
  place.identity,
  place.storage,
  place.bucket,
  place.name ?? '',
];
