// What opening a file system takes and gives; open.ts does it.
import type { FileCalls } from '../base/atomic-file.ts';
import type { Waits } from '../base/outage.ts';
import type { Ino, LedgerMode } from '../base/words.ts';
import type { BackupPlan } from './backup/backup.ts';
import type { AtimeMode } from './meta/atime.ts';
import type { StoreSettings } from './store/store.ts';
import type { Lifetimes } from './vfs/lifetimes.ts';
import type { UncommittedMarks } from './vfs/marks.ts';
import type { Vfs } from './vfs/vfs.ts';
import type { SecurityAttribute } from './vfs/xattrs.ts';

/** Where the private key comes from. Buffers are wiped once the key is open. */
export type KeySource =
  | { readonly kind: 'pem'; readonly pem: Buffer; readonly passphrase?: Buffer }
  | { readonly kind: 'in-metadata'; readonly passphrase?: Buffer }
  /** PKCS#8 DER in clear: what a predecessor left in the sealed part of the state memfd. */
  | { readonly kind: 'unlocked'; readonly der: Buffer };

export interface OpenOptions {
  readonly metaUrl: string;
  /**
   * Present: the volume must be encrypted, whatever its record says (the caller decides, never metadata). 'in-metadata'
   * is what a caller without a key of its own passes for a record that has an EncryptKey. Absent: the volume must be
   * unencrypted, else key-required.
   */
  readonly key?: KeySource;
  readonly readOnly?: boolean;
  /** Directory to serve as root, a path inside the file system; must exist. */
  readonly subdir?: string;
  /** Overrides of the record (fixtures were moved; credentials from a Secret). */
  readonly store?: Partial<StoreSettings>;
  /** Default: strict for self-managed volumes, lenient for keys in metadata. */
  readonly ledger?: LedgerMode;
  /** Mount point for the session row, and the session a successor goes on with. */
  readonly mountPoint?: string;
  readonly sessionId?: bigint;
  /** How often the session is renewed; 12 seconds where absent. */
  readonly heartbeatMs?: number | undefined;
  /** The session goes on under another number, since somebody ended it. */
  readonly onSession?: (sid: bigint) => void;
  readonly marks?: UncommittedMarks;
  /** Handles of an earlier epoch belong to a predecessor (worker restarts under one mount count up from 0). */
  readonly epoch?: number;
  /** How a folder store makes and reads files; default: Node's own calls. */
  readonly files?: FileCalls;
  /** Default true: takes part in the hourly clean-up (trash, deleted files and slices). */
  readonly backgroundJobs?: boolean;
  /** Backups of the metadata into the store, by a writing mount with background jobs; none where absent. */
  readonly backup?: BackupPlan;
  /** For how long the kernel may believe names and attributes; the usual ones where absent. */
  readonly lifetimes?: Partial<Lifetimes>;
  /** What looking at a node does to its atime; default: nothing. */
  readonly atimeMode?: AtimeMode;
  /** Which of the attributes that the kernel looks for all the time are kept; default: none. */
  readonly keptSecurity?: readonly SecurityAttribute[];
  /** Bytes of opened pages kept in memory. */
  readonly cacheBytes?: number;
  /** For how long a mount waits while its store or database is away; the usual ones where absent. */
  readonly waits?: Partial<Waits>;
}

export interface FileSystem {
  readonly vfs: Vfs;
  readonly name: string;
  readonly uuid: string;
  readonly encrypted: boolean;
  /** SHA-256 of the SPKI in hex; undefined for unencrypted volumes. */
  readonly keyId: string | undefined;
  readonly sessionId: bigint | undefined;
  /**
   * After a takeover: unlinked files that somebody may have open by a handle of a predecessor. Those that the kernel does
   * not know any more are to be forgotten (vfs.forget), or their data stays until the mount ends.
   */
  keptForOthers(): readonly Ino[];
  /** PKCS#8 DER of M for the state memfd; the caller wipes it. */
  unlockedKey(): Buffer | undefined;
  /** Flushes and closes. With keepSession the session row stays for a successor. */
  close(options?: { readonly keepSession?: boolean }): Promise<void>;
}
