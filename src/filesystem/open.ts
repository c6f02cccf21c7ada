// Opens a file system: record, key, store, pages, metadata, vfs, in this order; closes them in the other. Together with
// the cli's worker command the only place that puts the layers together.
import { FsError, fail } from '../base/errors.ts';
import { type Log, log as processLog } from '../base/log.ts';
import { noWaits, type Outages, outagesOf, type Waits } from '../base/outage.ts';
import { MiB } from '../base/units.ts';
import type { Caller, Ino } from '../base/words.ts';
import { MetadataBackup } from './backup/backup.ts';
import { openLedger } from './claim.ts';
import type { VolumeKey } from './keys/volume-key.ts';
import type { Meta } from './meta/meta.ts';
import { type OpenedMeta, openMeta } from './meta/open-meta.ts';
import { readSetting, type VolumeSetting } from './meta/read-setting.ts';
import { NodeType, ROOT } from './meta/types.ts';
import type { FileSystem, OpenOptions } from './options.ts';
import type { PageStore } from './page/page-store.ts';
import { type AdoptingPageStore, openPageStore } from './page/sealed-page-store.ts';
import { RecordStore } from './record-store.ts';
import type { Engine } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';
import { openStore } from './store/open-store.ts';
import type { ObjectStore, StoreSettings } from './store/store.ts';
import { storeSettings } from './store-settings.ts';
import { unlock } from './unlock.ts';
import { Compactions } from './vfs/compactions.ts';
import { usualLifetimes } from './vfs/lifetimes.ts';
import { VolumeVfs } from './vfs/volume-vfs.ts';

/** Opened pages in memory: what read-ahead of a few readers fills. */
const CACHE_BYTES = 64 * MiB;

/** How long closing waits for compactions, which end at their next page. */
const COMPACTION_TIMEOUT_MS = 5000;

/** What has been opened so far, to be closed in the reverse order, also when the next step fails. */
class Opened {
  readonly #steps: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.#steps.unshift(close);
  }

  /** Goes through all; rejects with the first failure. */
  async close(): Promise<void> {
    let first: unknown;
    for (const step of this.#steps.splice(0)) {
      try {
        await step();
      } catch (thrown) {
        first ??= thrown;
      }
    }
    if (first !== undefined) throw FsError.from(first, 'close the file system');
  }
}

/** The layers below the vfs, for tools that work on metadata and pages and serve nobody. */
export interface OpenedVolume extends VolumeSetting {
  readonly engine: Engine;
  readonly store: ObjectStore;
  readonly pages: AdoptingPageStore;
  readonly meta: OpenedMeta;
  readonly key: VolumeKey | undefined;
  readonly log: Log;
  /** In the order that is needed; rejects with the first failure. */
  close(): Promise<void>;
}

export async function openFileSystem(options: OpenOptions): Promise<FileSystem> {
  return closedOnFailure(async (opened) =>
    serve(options, await openLayers(options, opened, options.waits ?? {}), opened),
  );
}

/** Like a mount without a kernel: with a session while `readOnly` is not set, and the key as for opening. */
export async function openVolume(options: OpenOptions): Promise<OpenedVolume> {
  return closedOnFailure(async (opened) => ({
    ...(await openLayers(options, opened, noWaits)),
    close: () => opened.close(),
  }));
}

async function closedOnFailure<T>(open: (opened: Opened) => Promise<T>): Promise<T> {
  const opened = new Opened();
  try {
    return await open(opened);
  } catch (thrown) {
    // What failed first is what the caller has to hear.
    await opened.close().catch(() => undefined);
    throw thrown;
  }
}

interface Layers extends Omit<OpenedVolume, 'close'> {
  readonly closing: { keepSession: boolean };
  readonly outages: Outages;
}

async function openLayers(options: OpenOptions, opened: Opened, waits: Partial<Waits>): Promise<Layers> {
  const readOnly = options.readOnly === true;
  const engine = await openEngine(options.metaUrl, { readOnly });
  opened.add(() => engine.close());
  const volume = await readSetting(engine);
  const { setting } = volume;
  const log = processLog.child({ volume: setting.name });
  if (setting.shards > 1) throw fail('unsupported', `open file system ${setting.name}: its bucket is sharded`);
  const key = unlock(options.key, volume);
  opened.add(() => key?.wipe());
  const store = await openVolumeStore(volume, engine, options, log);
  opened.add(() => store.close());
  const ledger = key && (await openLedger({ engine, store, volume, key, options }));
  opened.add(() => ledger?.keys.wipe());
  const { name: volumeName, hashPrefix, pageSize, compression, encryptAlgo } = setting;
  const cacheBytes = options.cacheBytes ?? CACHE_BYTES;
  const format = { volumeName, hashPrefix, pageSize, compression, encryptAlgo };
  const outages = outagesOf(log, waits);
  const pages = openPageStore({ store, ...format, key, ledger, cacheBytes, outages, log });
  opened.add(() => pages.close());
  const meta = await openMetadata({ engine, pages, outages, log }, options, readOnly);
  const closing = { keepSession: false };
  opened.add(() => meta.close(closing));
  return { ...volume, engine, store, pages, meta, key, log, closing, outages };
}

async function openVolumeStore(
  volume: VolumeSetting,
  engine: Engine,
  options: OpenOptions,
  log: Log,
): Promise<ObjectStore> {
  const settings = storeSettings(volume, options.store);
  const open = (wanted: StoreSettings): Promise<ObjectStore> => openStore(wanted, { files: options.files });
  const store = await open(settings);
  // Folders know no credentials, and a caller's own are not the record's to exchange.
  if (settings.accessKey === undefined || options.store?.accessKey !== undefined) return store;
  return new RecordStore({ store, settings, given: options.store, engine, open, log });
}

async function serve(options: OpenOptions, layers: Layers, opened: Opened): Promise<FileSystem> {
  const { meta, pages, log, setting, key, closing, outages } = layers;
  const background = options.backgroundJobs !== false;
  const compactions = meta.readOnly ? undefined : new Compactions({ meta, pages, log, background });
  const vfs = new VolumeVfs({
    meta,
    pages,
    log,
    outages,
    root: await findRoot(meta, options.subdir),
    accessLists: setting.enableAcl,
    ...(compactions && { compactions }),
    ...(options.marks && { marks: options.marks }),
    ...(options.epoch !== undefined && { epoch: options.epoch }),
    ...(options.keptSecurity && { keptSecurity: options.keptSecurity }),
    ...(options.atimeMode && { atimeMode: options.atimeMode }),
    lifetimes: { ...usualLifetimes, ...options.lifetimes },
  });
  if (options.sessionId !== undefined) await vfs.adopt();
  opened.add(async () => {
    await vfs.flushAll().finally(async () => {
      vfs.stop();
      await compactions?.stop(COMPACTION_TIMEOUT_MS);
    });
  });
  if (options.backup !== undefined && background && !meta.readOnly) {
    const { engine, store } = layers;
    const { name: volumeName, encryptAlgo } = setting;
    const parts = { engine, store, volumeName, encryptAlgo, key, log, metaUrl: options.metaUrl };
    const backup = new MetadataBackup({ ...parts, ...options.backup });
    opened.add(() => backup.stop());
  }
  return {
    vfs,
    name: setting.name,
    uuid: setting.uuid,
    encrypted: key !== undefined,
    keyId: key?.id,
    sessionId: meta.sessionId,
    keptForOthers: () => meta.keptForOthers,
    unlockedKey: () => key?.exportDer(),
    close: (how = {}) => {
      closing.keepSession = how.keepSession === true;
      vfs.endSoon();
      return opened.close();
    },
  };
}

function openMetadata(
  { engine, pages, outages, log }: Pick<Layers, 'engine' | 'outages' | 'log'> & { readonly pages: PageStore },
  options: OpenOptions,
  readOnly: boolean,
): Promise<OpenedMeta> {
  const { mountPoint = '', sessionId, heartbeatMs, onSession } = options;
  return openMeta({
    engine,
    readOnly,
    log,
    outages,
    backgroundJobs: options.backgroundJobs !== false,
    session: {
      mountPoint,
      ...(sessionId !== undefined && { sid: sessionId }),
      ...(heartbeatMs !== undefined && { heartbeatMs }),
      ...(onSession && { onChange: onSession }),
    },
    removeSlice: (id, size) => pages.remove(id, size),
  });
}

const nobodyElse: Caller = { uid: 0, gid: 0, pid: process.pid, umask: 0 };

async function findRoot(meta: Meta, subdir = ''): Promise<Ino> {
  let ino: Ino = ROOT;
  for (const name of subdir.split('/').filter((part) => part !== '')) {
    const attr = await meta.lookup(nobodyElse, ino, Buffer.from(name));
    if (attr.type !== NodeType.directory) throw fail('ENOTDIR', `mount ${subdir}: ${name} is not a directory`);
    ino = attr.ino;
  }
  return ino;
}
