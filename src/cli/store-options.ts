// The flags that say where objects are and how the store is reached, which every command that opens a store shares, and
// what they make of the record's settings.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { parseMbps } from '../config/bandwidth.ts';
import type { StoreSettings } from '../filesystem/store/store.ts';
import { secretFromEnvironment } from './secrets-environment.ts';

export interface StoreFlags {
  readonly storage?: string;
  readonly bucket?: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly sessionToken?: string;
  readonly storageClass?: string;
  readonly uploadLimit?: string;
  readonly downloadLimit?: string;
  readonly caBundle?: string;
  readonly allowInsecureLoopback?: boolean;
}

/** For commands that open the store of a volume that exists: all of them override its record. */
export function addStoreOptions(command: Command): Command {
  return addCredentialOptions(
    command
      .option('--storage <kind>', 'kind of object store, if not as the record says')
      .option('--bucket <place>', 'where the objects are, if not where the record says'),
  );
}

/** For format and config, which have words of their own for place and kind. */
export function addCredentialOptions(command: Command): Command {
  return command
    .option('--access-key <id>', 'credentials of the object store, also as ACCESS_KEY in the environment')
    .option('--secret-key <key>', 'the same; as SECRET_KEY in the environment it is not seen in lists of processes')
    .option('--session-token <token>', 'the same, as SESSION_TOKEN')
    .option('--storage-class <class>', 'storage class of new objects, as the store names it')
    .option('--upload-limit <Mbps>', 'most bandwidth to the store; 0 is no limit')
    .option('--download-limit <Mbps>', 'most bandwidth from the store; 0 is no limit')
    .option('--ca-bundle <file>', 'certificate authorities (PEM) that vouch for the store, beside the usual ones')
    .option('--allow-insecure-loopback', 'let http:// be spoken with this machine itself, for trials');
}

/** What the flags and the environment say; what they do not name is left to the record. */
export function storeFromFlags(flags: StoreFlags): Partial<StoreSettings> {
  const accessKey = flags.accessKey ?? fromEnvironment('ACCESS_KEY');
  const secretKey = flags.secretKey ?? fromEnvironment('SECRET_KEY');
  const sessionToken = flags.sessionToken ?? fromEnvironment('SESSION_TOKEN');
  return {
    ...recordedOf(flags),
    ...(accessKey !== undefined && { accessKey }),
    ...(secretKey !== undefined && { secretKey }),
    ...(sessionToken !== undefined && { sessionToken }),
    ...reachOf(flags),
  };
}

/** Of the flags alone, what a record can hold. */
export function recordedOf(flags: StoreFlags): Partial<StoreSettings> {
  const { storage, bucket, accessKey, secretKey, sessionToken, storageClass, uploadLimit, downloadLimit } = flags;
  return {
    ...(storage !== undefined && { storage: storage.toLowerCase() }),
    ...(bucket !== undefined && { bucket }),
    ...(accessKey !== undefined && { accessKey }),
    ...(secretKey !== undefined && { secretKey }),
    ...(sessionToken !== undefined && { sessionToken }),
    ...(storageClass !== undefined && { storageClass }),
    ...(uploadLimit !== undefined && { uploadLimit: mbpsOf('--upload-limit', uploadLimit) }),
    ...(downloadLimit !== undefined && { downloadLimit: mbpsOf('--download-limit', downloadLimit) }),
  };
}

/** What no record holds: whom to trust, and which rule not to apply. */
export const reachOf = ({
  caBundle,
  allowInsecureLoopback,
}: StoreFlags): Pick<StoreSettings, 'caBundle' | 'allowInsecureLoopback'> => ({
  ...(caBundle !== undefined && { caBundle: readCaBundle(caBundle) }),
  ...(allowInsecureLoopback && { allowInsecureLoopback }),
});

/** The same as an option of whatever opens the store; nothing where nothing is said. */
export function storeOption(flags: StoreFlags): { readonly store?: Partial<StoreSettings> } {
  const store = storeFromFlags(flags);
  return Object.keys(store).length === 0 ? {} : { store };
}

function fromEnvironment(name: 'ACCESS_KEY' | 'SECRET_KEY' | 'SESSION_TOKEN'): string | undefined {
  const value = secretFromEnvironment(name)?.toString();
  return value === '' ? undefined : value;
}

/** Rejects bad-input. */
function mbpsOf(flag: string, text: string): number {
  const mbps = parseMbps(text);
  if (mbps !== undefined) return mbps;
  throw fail('bad-input', `${flag} ${JSON.stringify(text)}: wanted megabits a second like 100, or 2G`);
}

function readCaBundle(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw fail('bad-input', `--ca-bundle ${file}: ${(cause as Error).message}`, { cause });
  }
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw fail('bad-input', `--ca-bundle ${file}: wanted certificates as PEM, found none`);
}
