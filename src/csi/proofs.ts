// Which Secret a volume's worker has accepted, as a keyed hash: a republish with the same one then costs this comparison
// and no key derivation. In memory under a key of this process only, since a hash on disk would help in guessing.
import { createHmac, randomBytes } from 'node:crypto';

export class Proofs {
  readonly #key = randomBytes(32);
  readonly #accepted = new Map<string, string>();

  isAccepted(volumeId: string, secrets: Readonly<Record<string, string>>): boolean {
    return this.#accepted.get(volumeId) === this.#hash(secrets);
  }

  accept(volumeId: string, secrets: Readonly<Record<string, string>>): void {
    this.#accepted.set(volumeId, this.#hash(secrets));
  }

  forget(volumeId: string): void {
    this.#accepted.delete(volumeId);
  }

  #hash(secrets: Readonly<Record<string, string>>): string {
    const hash = createHmac('sha256', this.#key);
    for (const name of Object.keys(secrets).sort()) {
      const value = secrets[name] ?? '';
      hash.update(`${Buffer.byteLength(name)}:${name}=${Buffer.byteLength(value)}:${value}`);
    }
    return hash.digest('base64');
  }
}
