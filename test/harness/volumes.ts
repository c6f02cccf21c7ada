// The volumes of test/volumes, each as a copy that a test may change.
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Temp } from './temp.ts';
import { root } from './tools.ts';
import type { Tree } from './tree.ts';

/** Every volume that is there, in the order of test/volumes/README.md. */
// biome-ignore format: a list
export const volumeNames = [
  'plain', 'zstd', 'lz4', 'aes-none', 'aes-lz4', 'aes-zstd', 'aes-rsa4096', 'aes-openkey', 'chacha', 'hashprefix',
  'trash0', 'acl', 'quota',
] as const;

export type VolumeName = (typeof volumeNames)[number];

export interface Manifest {
  readonly setting: Readonly<Record<string, unknown>>;
  readonly entries: Tree;
  readonly trash?: Tree;
}

export interface TestVolume {
  readonly metaUrl: string;
  readonly database: string;
  /** The bucket directory, with the slash at its end that the format wants. */
  readonly bucket: string;
  /** PEM file, for encrypted volumes. */
  readonly keyFile: string | undefined;
  readonly passphrase: string | undefined;
  readonly manifest: Manifest;
}

/** Copies the volume into the test's folder; its record names the copied bucket. */
export function copyVolume(temp: Temp, name: VolumeName): TestVolume {
  const source = join(root, 'test/volumes', name);
  const folder = temp.folder(`volume-${name}`);
  const database = join(folder, 'meta.db');
  const bucket = `${join(folder, 'objects')}/`;
  cpSync(join(source, 'meta.db'), database);
  cpSync(join(source, 'objects'), bucket, { recursive: true });
  rewriteBucket(database, bucket);
  const sealed = join(source, 'key.pem.b64');
  const keyFile = existsSync(sealed) ? join(folder, 'key.pem') : undefined;
  if (keyFile !== undefined) writeFileSync(keyFile, Buffer.from(readFileSync(sealed, 'utf8'), 'base64'));
  const phrase = join(source, 'passphrase');
  return {
    metaUrl: `sqlite3://${database}`,
    database,
    bucket,
    keyFile,
    passphrase: existsSync(phrase) ? readFileSync(phrase, 'utf8').replace(/\n$/, '') : undefined,
    manifest: JSON.parse(readFileSync(join(source, 'manifest.json'), 'utf8')) as Manifest,
  };
}

/** The record as it lies in the database. */
export function readRecord(database: string): string {
  const db = new DatabaseSync(database, { readOnly: true });
  const row = db.prepare("SELECT value FROM jfs_setting WHERE name = 'format'").get();
  db.close();
  return String(row?.['value']);
}

function rewriteBucket(database: string, bucket: string): void {
  const record = { ...(JSON.parse(readRecord(database)) as Record<string, unknown>), Bucket: bucket };
  const db = new DatabaseSync(database);
  db.prepare("UPDATE jfs_setting SET value = ? WHERE name = 'format'").run(JSON.stringify(record));
  db.close();
}
