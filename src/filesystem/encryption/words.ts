// What the acts of turning encryption on answer, in words that status, Events and the command line show as they stand.
import type { FieldChange } from '../config-fields.ts';
import type { FormatKey } from '../format-record.ts';
import type { Custody, Owner } from '../meta/ledger-setting.ts';
import type { StoreSettings } from '../store/store.ts';
import type { ObjectsLeft } from './objects-left.ts';
import type { RowsLeft } from './rows-left.ts';

/** A file system by its metadata; `store` goes before what the record says of it. */
export interface FileSystemPlace {
  readonly metaUrl: string;
  readonly store?: Partial<StoreSettings>;
}

/** Every way of not being empty, or not at rest. */
export const reasonCodes = [
  'LiveSession', // somebody has it mounted
  'LiveFile', // files, directories, links
  'TrashedFile', // deleted, and in the trash
  'OpenUnlinkedFile', // deleted while a client had it open
  'PendingSlice', // data of deleted files that waits for its deletion
  'DelayedSlice', // data that a compaction replaced and the trash keeps
  'Snapshot', // snapshots, and clones that nobody has finished
  'CsiVolume', // volumes of a cluster
  'StrayObject', // objects that no row names
  'MetadataBackup', // copies of the metadata in the store: they hold names in clear
] as const;

export type ReasonCode = (typeof reasonCodes)[number];

export interface Reason {
  readonly code: ReasonCode;
  /** A sentence without its full stop: how many, which one for example, what to do. */
  readonly text: string;
}

export interface LiveSession {
  readonly sid: bigint;
  readonly client: 'pageseal' | 'juicefs';
  readonly version: string;
  readonly host: string;
  readonly pid: number | undefined;
  readonly mountPoint: string;
  /** Seconds since the epoch: when it ends unless it is renewed. */
  readonly expires: bigint;
  /** Seconds since the epoch, as far as the usual lifetime of a minute tells: no client writes it down. */
  readonly lastHeartbeat: bigint;
}

export interface Counts extends RowsLeft, Omit<ObjectsLeft, 'example'> {
  readonly sessions: number;
}

export interface Emptiness {
  readonly counts: Counts;
  /** None: it is empty and nobody has it mounted. In the order of `reasonCodes`. */
  readonly reasons: readonly Reason[];
  readonly sessions: readonly LiveSession[];
}

/**
 * How far a conversion is. `waiting`: locked, sessions to be looked for once more. `confirmed`: nobody is there.
 * `wiping`, `wiped`: by name of a UUID. `switching`: a new UUID is chosen, `juicefs_uuid` may be sealed already.
 */
export type ConversionStep = 'waiting' | 'confirmed' | 'wiping' | 'wiped' | 'switching';

export type ConversionState =
  | { readonly kind: 'not-formatted' }
  | {
      readonly kind: 'at-rest';
      readonly name: string;
      readonly uuid: string;
      readonly owner: Owner;
      readonly custody: Custody;
      /** Hex; undefined while no key has been seen. */
      readonly keyCheck: string | undefined;
    }
  | {
      readonly kind: 'under-way';
      readonly name: string;
      /** Still the old one. */
      readonly uuid: string;
      readonly owner: Owner;
      readonly step: ConversionStep;
      /** Nanoseconds since the epoch. */
      readonly since: bigint;
      /** What another client has made of the record meanwhile; nothing goes by it. */
      readonly changed: readonly FieldChange[];
    };

export interface Blocked {
  readonly kind: 'blocked';
  readonly reasons: readonly Reason[];
  readonly sessions: readonly LiveSession[];
}

export type Begun = Blocked | { readonly kind: 'locked' } | { readonly kind: 'encrypted'; readonly custody: Custody };

/** `not-begun`: there is no lock; begin (again). */
export type Confirmed = Blocked | { readonly kind: 'confirmed' } | { readonly kind: 'not-begun' };

export interface Wiped {
  readonly kind: 'wiped';
  /** That was wiped; it is the record's no more once the conversion ends. */
  readonly uuid: string;
  readonly objectsRemoved: number;
}

export type Switched =
  | (Blocked & { readonly counts: Counts })
  | {
      readonly kind: 'encrypted';
      /** The new one. */
      readonly uuid: string;
      /** What another client had made of the record meanwhile, and is not in the new one. */
      readonly changed: readonly FieldChange[];
    }
  /** Another client has put the record back into use: the lock stands again, sessions are to be looked for again. */
  | { readonly kind: 'reopened'; readonly changed: readonly FieldChange[] }
  | { readonly kind: 'not-confirmed' };

/** As `format` takes it: a public key, one for the metadata, or `self-managed` without any, which the first mount claims. */
export type ConversionKey = Exclude<FormatKey, { readonly kind: 'none' }>;
