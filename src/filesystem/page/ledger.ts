// The page ledger's cryptography (docs/FORMAT.md, page ledger): S of every page sealed under symmetric keys that derive
// from M, bound to the volume, the place of the page, its length and its tag. Rows are metadata's; here are their bytes.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { be32, be64, uuidBytes, wipe } from '../../base/bytes.ts';
import { fail } from '../../base/errors.ts';
import { Lru } from '../../base/lru.ts';
import type { LedgerEntry, SliceId } from '../../base/words.ts';
import type { VolumeKey } from '../keys/volume-key.ts';
import type { PagePlace } from './page-store.ts';

const EPOCH_BYTES = 1;
const NONCE_BYTES = 12;
const KEY_BYTES = 32;
const TAG_BYTES = 16;
/** epoch(1) nonce(12) sealed key(32) tag(16): both of setting.ledger and of page_key. */
export const SEALED_KEY_BYTES = EPOCH_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
/** The only epoch so far; another one is another L. */
const FIRST_EPOCH = 1;
/** Slices under one group key: 2^20, so that no AES-GCM key meets more than 2^30 random nonces. */
const GROUP_SHIFT = 20n;
/** Group keys kept; one covers a million slices, so readers of old and new data need a handful. */
const GROUPS_KEPT = 64;

const ROOT_INFO = Buffer.from('pageseal ledger root v1');
const GROUP_INFO = Buffer.from('page key v1');

export class Ledger {
  readonly #uuid: Buffer;
  readonly #epoch: number;
  readonly #secret: Buffer;
  readonly #groups = new Lru<bigint, Buffer>(
    GROUPS_KEPT,
    () => 1,
    (_, key) => wipe(key),
  );

  private constructor(uuid: Buffer, epoch: number, secret: Buffer) {
    this.#uuid = uuid;
    this.#epoch = epoch;
    this.#secret = secret;
  }

  /** A new L for a new volume, or for one that has none yet; `blob()` is what to store. */
  static create(uuid: string): Ledger {
    return new Ledger(parseUuid(uuid), FIRST_EPOCH, randomBytes(KEY_BYTES));
  }

  /** Opens setting.ledger. Throws wrong-key, metadata-damaged, newer-format. */
  static open(key: VolumeKey, uuid: string, blob: Buffer): Ledger {
    const id = parseUuid(uuid);
    const epoch = checkSealed('the ledger key', blob);
    const root = rootOf(key, id);
    try {
      const secret = openKey(root, blob, aadOfRoot(id, epoch));
      if (secret === undefined)
        throw fail(
          'wrong-key',
          `open the ledger with key ${key}: sealed with another key, for another volume, or damaged`,
        );
      return new Ledger(id, epoch, secret);
    } finally {
      wipe(root);
    }
  }

  /** L sealed under M: the value of setting.ledger. A new M takes over by sealing the same L again. */
  blob(key: VolumeKey): Buffer {
    const root = rootOf(key, this.#uuid);
    try {
      return sealKey(root, this.#epoch, this.#secret, aadOfRoot(this.#uuid, this.#epoch));
    } finally {
      wipe(root);
    }
  }

  /** page_key of a row. */
  sealPageKey(place: PagePlace, tag: Buffer, pageKey: Buffer): Buffer {
    return sealKey(this.#group(place.sliceId), this.#epoch, pageKey, this.#aad(place, tag));
  }

  /** S of a row; the caller wipes it. Throws metadata-damaged (altered, or the row of another page), newer-format. */
  openPageKey(place: PagePlace, entry: LedgerEntry): Buffer {
    const where = `ledger row of page ${place.sliceId}/${place.indx}`;
    if (entry.tag.length !== TAG_BYTES)
      throw fail('metadata-damaged', `${where}: wanted a tag of ${TAG_BYTES} bytes, found ${entry.tag.length}`);
    const epoch = checkSealed(where, entry.pageKey);
    if (epoch !== this.#epoch) throw fail('newer-format', `${where}: wanted epoch ${this.#epoch}, found ${epoch}`);
    const pageKey = openKey(this.#group(place.sliceId), entry.pageKey, this.#aad(place, entry.tag));
    if (pageKey === undefined)
      throw fail('metadata-damaged', `${where}: altered, or not of this page of ${place.length} bytes`);
    return pageKey;
  }

  wipe(): void {
    wipe(this.#secret, ...this.#groups.values());
    this.#groups.clear();
  }

  #group(sliceId: SliceId): Buffer {
    const group = sliceId >> GROUP_SHIFT;
    let key = this.#groups.get(group);
    if (key === undefined) {
      key = derive(this.#secret, this.#uuid, Buffer.concat([GROUP_INFO, be64(group)]));
      this.#groups.set(group, key);
    }
    return key;
  }

  #aad({ sliceId, indx, length }: PagePlace, tag: Buffer): Buffer {
    return Buffer.concat([this.#uuid, be64(sliceId), be32(indx), be32(length), tag]);
  }
}

function parseUuid(uuid: string): Buffer {
  const bytes = uuidBytes(uuid);
  if (bytes === undefined) throw fail('metadata-damaged', `volume UUID ${JSON.stringify(uuid)}: not a UUID`);
  return bytes;
}

const derive = (secret: Buffer, salt: Buffer, info: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, salt, info, KEY_BYTES));

function rootOf(key: VolumeKey, uuid: Buffer): Buffer {
  const secret = key.ledgerSecret();
  try {
    return derive(secret, uuid, ROOT_INFO);
  } finally {
    wipe(secret);
  }
}

const aadOfRoot = (uuid: Buffer, epoch: number): Buffer => Buffer.concat([uuid, Buffer.from([epoch])]);

function checkSealed(what: string, sealed: Buffer): number {
  if (sealed.length !== SEALED_KEY_BYTES)
    throw fail('metadata-damaged', `${what}: wanted ${SEALED_KEY_BYTES} bytes, found ${sealed.length}`);
  return sealed.readUInt8(0);
}

function sealKey(under: Buffer, epoch: number, key: Buffer, aad: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', under, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  const sealed = cipher.update(key);
  cipher.final();
  return Buffer.concat([Buffer.from([epoch]), nonce, sealed, cipher.getAuthTag()]);
}

function openKey(under: Buffer, sealed: Buffer, aad: Buffer): Buffer | undefined {
  const body = EPOCH_BYTES + NONCE_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', under, sealed.subarray(EPOCH_BYTES, body), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(body + KEY_BYTES));
  const key = decipher.update(sealed.subarray(body, body + KEY_BYTES));
  try {
    decipher.final();
    return key;
  } catch {
    wipe(key);
    return undefined;
  }
}
