// Bytes under a key. Keys are relative to the bucket and include the volume name ("demo/chunks/0/0/1_0_4194304").
import type { FileHandle } from 'node:fs/promises';

export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly mtime: number;
  /** Not an object: see ListOptions. */
  readonly temporary?: true;
}

export interface ListOptions {
  /** Only keys behind this one. */
  readonly after?: string;
  /** Also what a put that was cut short left behind, with `temporary` set. */
  readonly temporaries?: boolean;
}

export interface PutOptions {
  /**
   * The key must be new: where the store can tell, an object that is there with other bytes is `conflict` and stays as it
   * is; with the same bytes it is success, since an attempt whose answer was lost may have put it.
   */
  readonly onlyNew?: boolean;
}

/** Older versions of deleted objects. */
export interface Versions {
  readonly removed: number;
  /** That the store refused to delete. */
  readonly left: number;
}

export const noVersions: Versions = { removed: 0, left: 0 };

export interface ObjectStore {
  /** For messages: "file:///data/objects/"; never with credentials. */
  readonly description: string;
  /**
   * Whole object. Rejects object-missing, store-unavailable. With `maxBytes`, no more than maxBytes + 1 bytes are read:
   * a store that hands out something enormous costs no memory, and the caller sees that it is too long.
   */
  get(key: string, signal?: AbortSignal, maxBytes?: number): Promise<Buffer>;
  /** Durable when it resolves; replaces atomically. Parts are written one after the other. Rejects store-full. */
  put(key: string, parts: readonly Buffer[], signal?: AbortSignal, options?: PutOptions): Promise<void>;
  /** The first `size` bytes of an open file, for what is too long for memory; otherwise like put. */
  putFile(key: string, file: FileHandle, size: number): Promise<void>;
  /** A missing object is success. */
  delete(key: string): Promise<void>;
  /** Any number; missing ones are success. Rejects with the first failure, when all have been tried. */
  deleteMany(keys: readonly string[]): Promise<void>;
  head(key: string): Promise<ObjectInfo | undefined>;
  /** All objects whose key starts with `prefix`, in byte order of keys, as a stream of bounded pages. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;
  /** Older versions below `prefix`, where the store keeps and lists them; left out where there never are any. */
  removeVersions?(prefix: string): Promise<Versions>;
  close(): Promise<void>;
}

/** What names a store in the setting record or a Secret. */
export interface StoreSettings {
  /** 'file', 'mem', 's3' or another kind of s3-kinds.ts; lower case. */
  readonly storage: string;
  readonly bucket: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly sessionToken?: string;
  /** Of new objects; absent or '' is the bucket's own. */
  readonly storageClass?: string;
  /** Mbit/s, as the record counts; absent or 0 is no limit. */
  readonly uploadLimit?: number;
  readonly downloadLimit?: number;
  /** PEM text of the authorities that may vouch for the store, beside the system's. */
  readonly caBundle?: string;
  /** PEM text, for stores that want to know their clients by certificate. */
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  /** `http://` to this very machine, for tests and gateways that run beside. */
  readonly allowInsecureLoopback?: boolean;
  /** Neither this machine nor its link, whatever the store's names lead to: for places that others named. */
  readonly remoteOnly?: boolean;
}
