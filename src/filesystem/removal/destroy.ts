// Removal of a whole file system in the order that can be resumed: ledger (no page opens after that), objects, metadata.
// The metadata goes last, since it is what a repeated call finds its way by.

import { rm, rmdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../../base/atomic-file.ts';
import { fail } from '../../base/errors.ts';
import { dropTables } from '../meta/schema.ts';
import { deleteLedger } from '../meta/volume-rows.ts';
import { dropSchema } from '../places.ts';
import { type Engine, type Op, write } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { parseMetaUrl } from '../sql/url.ts';
import { openStore } from '../store/open-store.ts';
import type { ObjectStore, StoreSettings } from '../store/store.ts';
import { isEmpty, type WipeOptions, wipeObjects } from './wipe.ts';

export interface Doomed {
  readonly metaUrl: string;
  readonly name: string;
  readonly store: StoreSettings;
}

/** Ledger and objects; the metadata stays until `destroyMetadata`. Answers the number of objects. */
export async function destroyData(engine: Engine, doomed: Doomed, options: WipeOptions = {}): Promise<number> {
  await engine.run(
    function* (): Op<void> {
      yield* write(...deleteLedger());
    },
    { durable: true },
  );
  const store = await openDoomed(doomed);
  if (store === undefined) return 0;
  try {
    const deleted = await wipeObjects(store, doomed.name, options);
    await removeFolders(doomed);
    if (!(await isEmpty(store, doomed.name)))
      throw fail('store-not-empty', `remove the objects of ${doomed.name}: the last listing is not empty`);
    return deleted;
  } finally {
    await store.close();
  }
}

/**
 * For a file system without metadata: what an interrupted format put to test the store goes. Anything else means that the
 * metadata was lost and not removed, and stays.
 */
export async function destroyLeftovers(doomed: Doomed): Promise<void> {
  const store = await openDoomed(doomed);
  if (store === undefined) return;
  try {
    for await (const { key } of store.list(`${doomed.name}/`)) {
      if (!key.startsWith(`${doomed.name}/testing/`))
        throw fail(
          'store-not-empty',
          `remove ${doomed.name}: its metadata is gone, but ${store.description} holds objects`,
        );
      await store.delete(key);
    }
    await removeFolders(doomed);
  } finally {
    await store.close();
  }
}

/** Undefined when the bucket is gone, as after a removal that was cut short. */
async function openDoomed(doomed: Doomed): Promise<ObjectStore | undefined> {
  if (doomed.store.storage !== 'file') return openStore(doomed.store);
  const missing = await unlessMissing(syncFolder(doomed.store.bucket));
  return missing ? undefined : openStore(doomed.store);
}

/** Folder stores keep folders and hidden left-overs of crashes, which no listing shows. */
async function removeFolders(doomed: Doomed): Promise<void> {
  if (doomed.store.storage !== 'file') return;
  await rm(`${doomed.store.bucket}${doomed.name}`, { recursive: true, force: true });
  await rmdir(doomed.store.bucket).catch(() => undefined); // others may keep theirs there
}

export interface MetadataPlace {
  /** A folder that stays for others, even empty. */
  readonly kept: string | undefined;
  /** PostgreSQL's schema that was made for this file system; without one only its tables go. */
  readonly ownSchema: string | undefined;
}

/** Takes the closed database away: files with their folder when it is empty then, tables with a schema of their own. */
export async function destroyMetadata(metaUrl: string, { kept, ownSchema }: MetadataPlace): Promise<void> {
  const location = parseMetaUrl(metaUrl);
  if (location.kind !== 'sqlite') return destroyTables(metaUrl, ownSchema);
  if (location.tablePrefix !== '')
    throw fail('refused', 'remove metadata: the database may hold other file systems under other table prefixes');
  // The database before its log: a log without database is nothing, the reverse is an older state of it.
  for (const suffix of ['', '-wal', '-shm']) await unlessMissing(unlink(`${location.file}${suffix}`));
  const folder = dirname(location.file);
  const missing = await unlessMissing(syncFolder(folder));
  if (!missing && folder !== kept) await rmdir(folder).catch(() => undefined);
}

async function destroyTables(metaUrl: string, ownSchema: string | undefined): Promise<void> {
  const engine = await openEngine(metaUrl);
  await dropTables(engine).finally(() => engine.close());
  if (ownSchema !== undefined) await dropSchema(metaUrl, ownSchema);
}

/** True when what it was about is not there. */
async function unlessMissing(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return false;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw thrown;
  }
}
