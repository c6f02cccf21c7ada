// The page ledger's keys of a volume. The first writer that shows a key claims a volume of which no key has been seen: key
// check and a new L are written in one compare-and-set, before any page is.
import { fail, hasCode } from '../base/errors.ts';
import type { LedgerMode } from '../base/words.ts';
import type { VolumeKey } from './keys/volume-key.ts';
import { claimKey } from './meta/ledger-setting.ts';
import type { VolumeSetting } from './meta/read-setting.ts';
import type { OpenOptions } from './options.ts';
import { Ledger } from './page/ledger.ts';
import { openBlob, parseEncryptAlgo, sealBlob } from './page/seal.ts';
import type { Engine } from './sql/op.ts';
import type { ObjectStore } from './store/store.ts';
import { custodyOf, ledgerModeOf } from './unlock.ts';

export interface ClaimParts {
  readonly engine: Engine;
  readonly store: ObjectStore;
  readonly volume: VolumeSetting;
  readonly key: VolumeKey;
  readonly options: OpenOptions;
}

/** Undefined for a volume that has no ledger yet and is only read. Rejects wrong-key, failed-precondition. */
export async function openLedger(parts: ClaimParts): Promise<{ keys: Ledger; mode: LedgerMode } | undefined> {
  const { engine, volume, key, options } = parts;
  const { setting, ours } = volume;
  const custody = custodyOf(volume);
  const mode = options.ledger ?? ledgerModeOf(volume);
  // A key out of the record is the volume's by definition; any other has to prove it before it is written down.
  if (ours.keyCheck === undefined && options.key?.kind !== 'in-metadata') await proveKey(parts);
  let sealed = ours.ledger;
  if (options.readOnly !== true && (sealed === undefined || ours.keyCheck === undefined)) {
    const fresh = Ledger.create(setting.uuid);
    const claim = { keyCheck: key.check, ledger: fresh.blob(key), custody };
    fresh.wipe();
    sealed = (await claimKey(engine, setting.uuid, claim)).ledger;
  }
  // Without one every page would be taken at its word.
  if (sealed === undefined && mode === 'strict')
    throw fail('failed-precondition', `open file system ${setting.name}: its page ledger has no key yet`, {
      hint: 'mount it once for writing',
    });
  return sealed && { keys: Ledger.open(key, setting.uuid, sealed), mode };
}

/** An encrypted volume holds its UUID, sealed for its key; one made without any key gets it with the first. */
async function proveKey({ store, volume, key, options }: ClaimParts): Promise<void> {
  const { name, uuid, encryptAlgo } = volume.setting;
  const what = `open file system ${name}`;
  const algo = parseEncryptAlgo(encryptAlgo);
  const object = `${name}/juicefs_uuid`;
  if ((await store.head(object)) === undefined) {
    if (custodyOf(volume) !== 'self-managed')
      throw fail('failed-precondition', `${what}: nothing to prove key ${key} with, ${object} is missing`, {
        hint: 'open it with the key in its metadata',
      });
    if (options.readOnly !== true) await store.put(object, [sealBlob(algo, key, Buffer.from(uuid))]);
    return;
  }
  try {
    const found = await openBlob(algo, key, await store.get(object));
    if (found.toString() === uuid) return;
  } catch (thrown) {
    if (!hasCode(thrown, 'page-damaged')) throw thrown;
    throw fail('wrong-key', `${what}: key ${key} does not open ${object}`, { cause: thrown });
  }
  throw fail('wrong-key', `${what}: ${object} holds another UUID`);
}
