// Remembers which secrets were tried, as keyed hashes: those that a running volume accepted, and those that cannot open
// their own key, so that kubelet's retries cost neither a KDF nor a process.
import { createHmac, randomBytes } from 'node:crypto';
import { FsError, hasCode } from '../base/errors.ts';
import { Lru } from '../base/lru.ts';
import type { Connection } from './messages.ts';

/** Pods of a node that retry with a wrong Secret at the same time. */
const MAX_FAILED = 256;

/** Of this process only: a hash of a weak passphrase must not be comparable with another one's. */
const salt = randomBytes(32);

/** Same digest: same connection, key and passphrase. */
export function connectionDigest(connection: Connection): string {
  const { rsaKey, passphrase, ...plain } = connection;
  const hmac = createHmac('sha256', salt).update(JSON.stringify(plain));
  return hmac.update(keyDigest({ rsaKey, passphrase, hasPassphrase: plain.hasPassphrase })).digest('hex');
}

function keyDigest(key: Pick<Connection, 'rsaKey' | 'passphrase' | 'hasPassphrase'>): string {
  const hmac = createHmac('sha256', salt).update(`${key.rsaKey.length} ${key.hasPassphrase}`);
  return hmac.update(key.rsaKey).update(key.passphrase).digest('hex');
}

export class FailedKeys {
  readonly #failed = new Lru<string, FsError>(MAX_FAILED);

  /** Throws what this pair failed with before. */
  check(connection: Connection): void {
    const known = connection.rsaKey.length > 0 ? this.#failed.get(keyDigest(connection)) : undefined;
    if (known === undefined) return;
    throw new FsError(known.code, known.message, known.hint === undefined ? {} : { hint: known.hint });
  }

  /** Only what follows from the pair alone: a key in metadata may change there, a wrong key may be of another volume. */
  note(connection: Connection, thrown: unknown): void {
    if (connection.rsaKey.length === 0) return;
    if (hasCode(thrown, 'wrong-passphrase', 'passphrase-required', 'damaged-key'))
      this.#failed.set(keyDigest(connection), thrown);
  }
}
