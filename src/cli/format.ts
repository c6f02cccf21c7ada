// `pageseal format META-URL NAME`: makes a volume. The flags carry the original client's names and units.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { FormatKey } from '../filesystem/format-record.ts';
import type { StoreSettings } from '../filesystem/store/store.ts';
import { addKeyOptions, formatKey, type KeyFlags } from './key-options.ts';
import { metaUrlArgument } from './meta-url.ts';
import { parseCount, parseSize } from './sizes.ts';
import { addCredentialOptions, type StoreFlags, storeFromFlags } from './store-options.ts';

/** Where the original client puts objects when nothing is said and root formats. */
const DEFAULT_BUCKET = '/var/jfs/';

interface Flags extends KeyFlags, StoreFlags {
  readonly blockSize: string;
  readonly compress: string;
  readonly hashPrefix?: boolean;
  readonly trashDays: string;
  readonly encryptAlgo: string;
  readonly capacity: string;
  readonly inodes: string;
  readonly enableAcl?: boolean;
  /** Commander's form of --no-update. */
  readonly update: boolean;
  readonly json?: boolean;
}

const FORMAT_EXAMPLES = `
Examples:
  openssl genrsa -aes256 -out volume.pem 4096
  pageseal format sqlite3:///srv/meta.db demo --bucket /srv/objects --compress zstd --rsa-key volume.pem
  pageseal format sqlite3:///srv/meta.db demo --bucket /srv/objects --rsa-key public.pem   (the public half is enough)
  pageseal format sqlite3:///srv/meta.db demo --bucket /srv/objects --encrypt-rsa-key volume.pem
  META_PASSWORD_FILE=password SECRET_KEY=... pageseal format postgres://demo@db.example/demo demo --storage s3 \\
    --bucket https://s3.example/bucket --access-key ID --rsa-key volume.pem

With --rsa-key the key stays with you and the original client refuses the volume; with --encrypt-rsa-key the sealed key
lies in the metadata and both clients can use it; with neither the volume is not encrypted. An existing volume is never
changed or overwritten.`;

export function register(program: Command): void {
  const command = program
    .command('format')
    .description('make a volume')
    .addArgument(metaUrlArgument('where its metadata is to be'))
    .argument('<NAME>', 'its name, the prefix of all its objects')
    .option(
      '--storage <kind>',
      'object storage: file (a local folder), s3, minio and others that speak S3; mem (of one process, for tests)',
      'file',
    )
    .option('--bucket <place>', `where the objects go: a folder (${DEFAULT_BUCKET}), or https://HOST/BUCKET`)
    .option('--block-size <size>', 'size of a page, 64K to 16M; a bare number counts KiB', '4M')
    .option('--compress <how>', 'zstd, lz4 or none', 'none')
    .option('--hash-prefix', 'spread the objects over 256 folders')
    .option('--trash-days <days>', 'deleted files stay in the trash this long; 0 turns it off', '1')
    .option('--encrypt-algo <name>', 'aes256gcm-rsa or chacha20-rsa', 'aes256gcm-rsa')
    .option('--capacity <size>', 'most bytes in the volume; a bare number counts GiB, 0 is no limit', '0')
    .option('--inodes <count>', 'most files in the volume, 0 is no limit', '0')
    .option('--enable-acl', 'POSIX access control lists; cannot be turned off again')
    .option('--no-update', 'leave a volume that exists as it is, whatever its settings')
    .option('--json', 'the outcome as JSON');
  addCredentialOptions(addKeyOptions(command)).addHelpText('after', FORMAT_EXAMPLES).action(format);
}

async function format(metaUrl: string, name: string, flags: Flags): Promise<void> {
  const key = await formatKey(flags);
  const { formatVolume } = await import('../filesystem/format.ts');
  const formatted = await formatVolume({
    metaUrl,
    name,
    key,
    store: storeOf(flags),
    compression: flags.compress,
    pageSize: Number(parseSize('--block-size', flags.blockSize, 'K')),
    trashDays: Number(parseCount('--trash-days', flags.trashDays)),
    hashPrefix: flags.hashPrefix === true,
    encryptAlgo: flags.encryptAlgo,
    capacity: parseSize('--capacity', flags.capacity, 'G'),
    inodes: parseCount('--inodes', flags.inodes),
    enableAcl: flags.enableAcl === true,
    noUpdate: !flags.update,
  });
  if (flags.json) {
    console.log(JSON.stringify(formatted));
    return;
  }
  if (key.kind === 'none' && formatted.created)
    process.stderr.write('pageseal: no key was given: this volume is not encrypted\n');
  console.log(
    formatted.created
      ? `formatted ${formatted.name} (${formatted.uuid}), ${keyText(key, formatted.keyId)}`
      : `${formatted.name} (${formatted.uuid}) was there already and is as it was`,
  );
}

function storeOf(flags: Flags): StoreSettings {
  const { storage = 'file', bucket, ...given } = storeFromFlags(flags);
  if (bucket !== undefined) return { ...given, storage, bucket };
  if (storage !== 'file') throw fail('bad-input', `format --storage ${storage}: --bucket is missing`);
  return { ...given, storage, bucket: DEFAULT_BUCKET };
}

function keyText(key: FormatKey, id: string | undefined): string {
  if (key.kind === 'none') return 'not encrypted';
  const place = key.kind === 'self-managed' ? 'key with you' : 'key in the metadata';
  return id === undefined ? place : `${place}: ${id.slice(0, 16)}`;
}
