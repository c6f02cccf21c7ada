// Decides whether a volume is encrypted, by the caller's word and never by metadata alone, and opens its key M.
import { wipe } from '../base/bytes.ts';
import { fail } from '../base/errors.ts';
import type { LedgerMode } from '../base/words.ts';
import { openAtRest } from './keys/at-rest.ts';
import { readPrivateKey } from './keys/read-key.ts';
import { VolumeKey } from './keys/volume-key.ts';
import type { Custody } from './meta/ledger-setting.ts';
import type { VolumeSetting } from './meta/read-setting.ts';
import { PAGESEAL_META_VERSION } from './meta/setting.ts';
import type { KeySource } from './options.ts';

/** Where the record and our table say that the key is. */
export function custodyOf({ setting, ours }: VolumeSetting): Custody {
  if (setting.metaVersion === PAGESEAL_META_VERSION) return 'self-managed';
  if (setting.encryptKey !== '') return 'in-metadata';
  // A record without a key, but one of our table's: somebody took the key out of the record, or says that he did.
  if (ours.keyCheck !== undefined || (ours.custody ?? 'unencrypted') !== 'unencrypted') return 'self-managed';
  return 'unencrypted';
}

/** Only a key in the metadata leaves a choice: what stands in the metadata cannot talk a self-managed volume out of it. */
export const ledgerModeOf = (volume: VolumeSetting): LedgerMode =>
  custodyOf(volume) === 'self-managed' ? 'strict' : (volume.ours.mode ?? 'lenient');

/** Whether the record was changed after the volume had been made or claimed. */
function contradictory({ setting, ours }: VolumeSetting): boolean {
  // Custody is written down together with the key check, never without it.
  if (ours.custody === undefined) return ours.keyCheck !== undefined || ours.ledger !== undefined;
  const record = setting.metaVersion === PAGESEAL_META_VERSION ? 'self-managed' : 'in-metadata';
  return ours.custody !== record || (record === 'in-metadata' && setting.encryptKey === '');
}

/**
 * M, or undefined for a volume that both caller and record call unencrypted. Rejects key-required, encryption-mismatch,
 * wrong-key, and what reading a key rejects with. Wipes the caller's buffers once the key is open.
 */
export function unlock(source: KeySource | undefined, volume: VolumeSetting): VolumeKey | undefined {
  const { setting, ours } = volume;
  const custody = custodyOf(volume);
  const what = `open file system ${setting.name}`;
  if (source === undefined) {
    if (custody === 'unencrypted') return undefined;
    throw fail('key-required', `${what}: it is encrypted, and no key was given`, { hint: hints[custody] });
  }
  if (custody === 'unencrypted')
    throw fail('encryption-mismatch', `${what}: a key was given, but its record says that it is not encrypted`, {
      hint: 'either this is another volume, or somebody changed its record; without a key it opens as unencrypted',
    });
  if (contradictory(volume))
    throw fail('encryption-mismatch', `${what}: its record says otherwise about its key than was written down before`, {
      hint: 'somebody changed the record of this volume; compare it with a backup before you go on',
    });
  const key = open(source, volume, what, custody);
  if (ours.keyCheck === undefined || ours.keyCheck.equals(key.check)) return key;
  const found = key.toString();
  key.wipe();
  throw fail('wrong-key', `${what}: wanted key ${ours.keyCheck.toString('hex').slice(0, 16)}, found ${found}`);
}

const hints = {
  'self-managed': 'give the private key (--rsa-key)',
  'in-metadata': 'its key is in the metadata: give the passphrase, or say that there is none',
} as const;

function open(source: KeySource, volume: VolumeSetting, what: string, custody: Custody): VolumeKey {
  switch (source.kind) {
    case 'unlocked': {
      const key = VolumeKey.fromDer(source.der);
      wipe(source.der);
      return key;
    }
    case 'pem': {
      const key = readPrivateKey(source.pem, source.passphrase);
      wipe(source.pem, source.passphrase);
      return key;
    }
    case 'in-metadata': {
      if (custody !== 'in-metadata')
        throw fail('key-required', `${what}: its key is not in the metadata`, { hint: hints['self-managed'] });
      const key = openRecordKey(volume, source.passphrase);
      wipe(source.passphrase);
      return key;
    }
  }
}

function openRecordKey({ setting }: VolumeSetting, passphrase: Buffer | undefined): VolumeKey {
  const pem = setting.keyEncrypted ? openAtRest(setting.uuid, setting.encryptKey) : Buffer.from(setting.encryptKey);
  try {
    return readPrivateKey(pem, passphrase);
  } finally {
    wipe(pem);
  }
}
