// What a keeper tells the next one of a volume that it mounted, and that cannot be seen: travels with its descriptors. No
// secret. Apart from what checks it at the other end: every mount of the command line loads this file, and must not load a
// library for it.

/** Of the record and of what a worker finds in the state memory. */
export const RECORD_FORMAT = 1;

export interface HandedRecord {
  readonly volumeId: string;
  /** major:minor of the superblock. */
  readonly device: string;
  readonly mountPoint: string;
  readonly uuid: string;
  readonly name: string;
  readonly keyId: string;
  /** Without a password. */
  readonly metaUrl: string;
  readonly directory: string;
  readonly readOnly: boolean;
}

export const packRecord = (record: HandedRecord): string => JSON.stringify({ format: RECORD_FORMAT, ...record });
