// The volumes of test/volumes, each as a copy that a test may change.
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { loadText } from './dumps.ts';
import { Juicefs } from './juicefs.ts';
import { EmbeddedPlace, isScaled, newPlace, type Place } from './place.ts';
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
  readonly place: Place;
  readonly metaUrl: string;
  /** PEM file, for encrypted volumes. */
  readonly keyFile: string | undefined;
  readonly passphrase: string | undefined;
  readonly manifest: Manifest;
}

/** A copy in a SQLite file and a folder. */
export interface CopiedVolume extends TestVolume {
  readonly database: string;
  /** The bucket directory, with the slash at its end that the format wants. */
  readonly bucket: string;
}

/** Copies the volume into the test's folder; its record names the copied bucket. */
export function copyVolume(temp: Temp, name: VolumeName): CopiedVolume {
  const source = join(root, 'test/volumes', name);
  const folder = temp.folder(`volume-${name}`);
  const place = new EmbeddedPlace(temp, `volume-${name}/meta`);
  const { database, objects: bucket } = place;
  cpSync(join(source, 'meta.db'), database);
  cpSync(join(source, 'objects'), bucket, { recursive: true });
  rewriteBucket(database, bucket);
  const sealed = join(source, 'key.pem.b64');
  const keyFile = existsSync(sealed) ? join(folder, 'key.pem') : undefined;
  if (keyFile !== undefined) writeFileSync(keyFile, Buffer.from(readFileSync(sealed, 'utf8'), 'base64'));
  const phrase = join(source, 'passphrase');
  return {
    place,
    metaUrl: place.metaUrl,
    database,
    bucket,
    keyFile,
    passphrase: existsSync(phrase) ? readFileSync(phrase, 'utf8').replace(/\n$/, '') : undefined,
    manifest: JSON.parse(readFileSync(join(source, 'manifest.json'), 'utf8')) as Manifest,
  };
}

/** The volume at a new place of either kind. The original client dumps it; loading it, that would count references wrong. */
export async function volumeAt(temp: Temp, name: VolumeName): Promise<TestVolume> {
  const copy = copyVolume(temp, name);
  if (!isScaled) return copy;
  const { metaUrl: from, bucket, database, ...volume } = copy;
  const place = await newPlace(temp);
  const { metaUrl, storeFlags, objects } = place;
  const juicefs = new Juicefs(temp, volume.passphrase);
  const dump = `${database}.json`;
  await juicefs.ok(['dump', '--keep-secret-key', from, dump]);
  await loadText(metaUrl, readFileSync(dump));
  cpSync(bucket, objects, { recursive: true });
  await juicefs.ok(['config', metaUrl, ...storeFlags, '--yes']);
  return { ...volume, place, metaUrl };
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
