// What a worker is told through the sealed part of its state memfd: settings as JSON and secrets as bytes, so that they
// can be wiped. First the keeper writes PEM and passphrase; the worker replaces them by the unlocked key.
import { fail } from '../base/errors.ts';

/** How the object store is reached, where that is not as the record says. Secret in parts. */
export interface StoreOverrides {
  readonly storage?: string;
  readonly bucket?: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly sessionToken?: string;
  readonly storageClass?: string;
  readonly uploadLimit?: number;
  readonly downloadLimit?: number;
  readonly caBundle?: string;
  readonly allowInsecureLoopback?: boolean;
  readonly remoteOnly?: boolean;
}

export interface WorkerSettings {
  /** prove: open the key, compare, and end; nothing is served. */
  readonly purpose: 'serve' | 'prove';
  readonly metaUrl: string;
  readonly store: StoreOverrides;
  /** Variables that the worker sets for itself (config/worker-environment.ts); it inherits none. */
  readonly environment: Readonly<Record<string, string>>;
  /** Of authorities beside the usual ones. Its path only: what it holds may be renewed. */
  readonly caFile?: string | undefined;
  /** The volume must be encrypted, whatever its record says. */
  readonly encryptionRequired: boolean;
  /** The file system it must be; empty: any. */
  readonly uuid: string;
  /** For 'prove': key id of the running worker; empty: an unencrypted volume. */
  readonly keyId: string;
  readonly directory: string;
  readonly readOnly: boolean;
  readonly options: readonly string[];
  /** For the session row, and for the rule that nothing of the worker lies on its own mount. */
  readonly mountPoint: string;
  /** Directories in which metadata and objects may not lie: requests for them would come back to the worker. */
  readonly ownMounts: readonly string[];
}

export interface Handoff {
  readonly settings: WorkerSettings;
  readonly pem?: Buffer | undefined;
  readonly passphrase?: Buffer | undefined;
  /** PKCS#8 in clear: the first worker has opened the key. */
  readonly der?: Buffer | undefined;
}

/** Length of an absent part; an empty passphrase is present with length 0. */
const ABSENT = 0xffff_ffff;

/** The caller wipes the result. */
export function packHandoff(handoff: Handoff): Buffer {
  const settings = Buffer.from(JSON.stringify(handoff.settings));
  const parts = [settings, handoff.pem, handoff.passphrase, handoff.der];
  const packed = Buffer.alloc(parts.reduce((sum, part) => sum + 4 + (part?.length ?? 0), 0));
  let at = 0;
  for (const part of parts) {
    at = packed.writeUInt32LE(part?.length ?? ABSENT, at);
    if (part !== undefined) at += part.copy(packed, at);
  }
  return packed;
}

/** The parts are views of `packed`: wiping it wipes them. */
export function unpackHandoff(packed: Buffer): Handoff {
  let at = 0;
  const next = (): Buffer | undefined => {
    const length = packed.readUInt32LE(at);
    at += 4;
    if (length === ABSENT) return undefined;
    at += length;
    return packed.subarray(at - length, at);
  };
  if (packed.length === 0) throw fail('internal', 'worker: the sealed part of the state memory is empty');
  const settings = JSON.parse(String(next())) as WorkerSettings;
  return { settings, pem: next(), passphrase: next(), der: next() };
}
