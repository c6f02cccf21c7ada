// The key flags that format, mount and fsck share, and what they name as a KeySource.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { FormatKey } from '../filesystem/format-record.ts';
import { isSealedPem } from '../filesystem/keys/read-key.ts';
import type { KeySource } from '../filesystem/options.ts';
import { type PassphraseFlags, passphraseFor } from './passphrase.ts';

export interface KeyFlags extends PassphraseFlags {
  /** PEM of a self-managed volume. */
  readonly rsaKey?: string;
  /** PEM that format puts into the metadata; elsewhere another name for rsaKey. */
  readonly encryptRsaKey?: string;
}

/** Adds the flags to a command. */
export function addKeyOptions(command: Command): Command {
  return command
    .option('--rsa-key <file>', 'RSA key (PEM) that stays with you: its private half is never stored')
    .option('--encrypt-rsa-key <file>', 'RSA key (PEM); format stores it in the metadata, as the original client does')
    .option('--passphrase-file <file>', 'passphrase of the key; one newline at the end is dropped');
}

/** The key that the flags name, with its passphrase; undefined when they name none. */
export async function keyFromFlags(flags: KeyFlags): Promise<KeySource | undefined> {
  if (flags.rsaKey !== undefined && flags.encryptRsaKey !== undefined)
    throw fail('bad-input', 'a volume has one key: give --rsa-key or --encrypt-rsa-key, not both');
  const file = flags.rsaKey ?? flags.encryptRsaKey;
  if (file === undefined) return undefined;
  const pem = readKeyFile(file);
  const passphrase = await passphraseFor(flags, isSealedPem(pem), `Passphrase of ${file}`);
  return { kind: 'pem', pem, ...(passphrase && { passphrase }) };
}

/** The same for who makes a volume, or makes one encrypted: the flag says where the key is to be. */
export async function formatKey(flags: KeyFlags): Promise<FormatKey> {
  const source = await keyFromFlags(flags);
  if (source === undefined) return { kind: 'none' };
  if (source.kind !== 'pem') throw fail('internal', 'format: a key that is no file');
  return { ...source, kind: flags.rsaKey === undefined ? 'in-metadata' : 'self-managed' };
}

/**
 * The key in the volume's record, for a caller who names none; undefined when the record has none. Whether the key is
 * sealed is read from it, so that nobody is asked for a passphrase in vain.
 */
export async function keyOfRecord(metaUrl: string, flags: PassphraseFlags): Promise<KeySource | undefined> {
  const { readSettingOf } = await import('../filesystem/meta/read-setting.ts');
  const { setting } = await readSettingOf(metaUrl);
  if (setting.encryptKey === '') return undefined;
  const { openAtRest } = await import('../filesystem/keys/at-rest.ts');
  const pem = setting.keyEncrypted ? openAtRest(setting.uuid, setting.encryptKey) : Buffer.from(setting.encryptKey);
  const sealed = isSealedPem(pem);
  pem.fill(0);
  const passphrase = await passphraseFor(flags, sealed, `Passphrase of ${setting.name}'s key`);
  return { kind: 'in-metadata', ...(passphrase && { passphrase }) };
}

/** The flags' key, else the one in the metadata, else none: then the volume must be unencrypted. */
export async function keyOfVolume(metaUrl: string, flags: KeyFlags): Promise<{ readonly key?: KeySource }> {
  const key = (await keyFromFlags(flags)) ?? (await keyOfRecord(metaUrl, flags));
  return key === undefined ? {} : { key };
}

function readKeyFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw fail('bad-input', `reading the RSA key failed: ${reason}`, {
      cause: error,
      hint: 'openssl genrsa -aes256 -out volume.pem 4096 makes one',
    });
  }
}
