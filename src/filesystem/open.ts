// Opens a file system: record, key, store, pages, metadata, vfs, in this order; closes them in the other. Together with
// the cli's worker command the only place that puts the layers together.
import { FsError, fail, hasCode } from '../base/errors.ts';
import { type Log, log as processLog } from '../base/log.ts';
import { MiB } from '../base/units.ts';
import type { Caller, Ino } from '../base/words.ts';
import { openAtRest } from './keys/at-rest.ts';
import type { VolumeKey } from './keys/volume-key.ts';
import { claimKey } from './meta/ledger-setting.ts';
import type { Meta } from './meta/meta.ts';
import { type OpenedMeta, openMeta } from './meta/open-meta.ts';
import { readSetting, type VolumeSetting } from './meta/read-setting.ts';
import { NodeType, ROOT } from './meta/types.ts';
import type { FileSystem, OpenOptions } from './options.ts';
import { Ledger } from './page/ledger.ts';
import type { PageStore } from './page/page-store.ts';
import { type EncryptAlgo, openBlob, parseEncryptAlgo } from './page/seal.ts';
import { openPageStore } from './page/sealed-page-store.ts';
import type { Engine } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';
import { openStore } from './store/open-store.ts';
import type { ObjectStore, StoreSettings } from './store/store.ts';
import { custodyOf, unlock } from './unlock.ts';
import { VolumeVfs } from './vfs/volume-vfs.ts';

/** Opened pages in memory: what read-ahead of a few readers fills. */
const CACHE_BYTES = 64 * MiB;

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

export async function openFileSystem(options: OpenOptions): Promise<FileSystem> {
  const opened = new Opened();
  try {
    return await openAll(options, opened);
  } catch (thrown) {
    // What failed first is what the caller has to hear.
    await opened.close().catch(() => undefined);
    throw thrown;
  }
}

async function openAll(options: OpenOptions, opened: Opened): Promise<FileSystem> {
  const readOnly = options.readOnly === true;
  const engine = await openEngine(options.metaUrl, { readOnly });
  opened.add(() => engine.close());
  const volume = await readSetting(engine);
  const { setting } = volume;
  const log = processLog.child({ volume: setting.name });
  if (setting.shards > 1) throw fail('unsupported', `open file system ${setting.name}: its bucket is sharded`);
  const key = unlock(options.key, volume);
  opened.add(() => key?.wipe());
  const store = await openStore(storeSettings(volume, options.store));
  opened.add(() => store.close());
  const ledger = key && (await openLedger(engine, store, volume, key, options, readOnly));
  opened.add(() => ledger?.keys.wipe());
  const { name: volumeName, hashPrefix, pageSize, compression, encryptAlgo } = setting;
  const cacheBytes = options.cacheBytes ?? CACHE_BYTES;
  const format = { volumeName, hashPrefix, pageSize, compression, encryptAlgo };
  const pages = openPageStore({ store, ...format, key, ledger, cacheBytes, log });
  opened.add(() => pages.close());
  const meta = await openMetadata(engine, pages, options, readOnly, log);
  let keepSession = false;
  opened.add(() => meta.close({ keepSession }));
  const vfs = new VolumeVfs({
    meta,
    pages,
    log,
    root: await findRoot(meta, options.subdir),
    ...(options.marks && { marks: options.marks }),
    ...(options.epoch !== undefined && { epoch: options.epoch }),
  });
  opened.add(async () => {
    await vfs.flushAll().finally(() => vfs.stop());
  });
  return {
    vfs,
    name: setting.name,
    uuid: setting.uuid,
    encrypted: key !== undefined,
    keyId: key?.id,
    sessionId: meta.sessionId,
    unlockedKey: () => key?.exportDer(),
    close: (how = {}) => {
      keepSession = how.keepSession === true;
      return opened.close();
    },
  };
}

/** The record's store, unless the caller names another place or other credentials. */
function storeSettings({ setting }: VolumeSetting, given: Partial<StoreSettings> = {}): StoreSettings {
  const { storage, bucket, accessKey, secretKey } = setting;
  const own = given.secretKey === undefined && secretKey !== '';
  const secret = own && setting.keyEncrypted ? openAtRest(setting.uuid, secretKey).toString() : secretKey;
  return { storage, bucket, ...(accessKey && { accessKey }), ...(secret && { secretKey: secret }), ...given };
}

type LedgerInUse = NonNullable<Parameters<typeof openPageStore>[0]['ledger']>;

/** The ledger's keys; a writer claims a volume whose key nobody has shown yet. */
async function openLedger(
  engine: Engine,
  store: ObjectStore,
  volume: VolumeSetting,
  key: VolumeKey,
  options: OpenOptions,
  readOnly: boolean,
): Promise<LedgerInUse | undefined> {
  const { setting, ours } = volume;
  const custody = custodyOf(volume);
  const mode = options.ledger ?? ours.mode ?? (custody === 'self-managed' ? 'strict' : 'lenient');
  // A key out of the record is the volume's by definition; any other has to prove it before it is written down.
  // The exception is a volume that was made without any key: the first one to be shown becomes its own.
  const unclaimed = ours.custody === 'self-managed' && ours.keyCheck === undefined;
  if (ours.keyCheck === undefined && !unclaimed && options.key?.kind !== 'in-metadata')
    await proveKey(store, setting.name, setting.uuid, parseEncryptAlgo(setting.encryptAlgo), key);
  let sealed = ours.ledger;
  if (!readOnly && (sealed === undefined || ours.keyCheck === undefined)) {
    const fresh = Ledger.create(setting.uuid);
    const claim = { keyCheck: key.check, ledger: fresh.blob(key), custody };
    fresh.wipe();
    sealed = (await claimKey(engine, setting.uuid, claim)).ledger;
  }
  return sealed && { keys: Ledger.open(key, setting.uuid, sealed), mode };
}

/** Every encrypted volume holds its UUID, sealed for its key. */
async function proveKey(
  store: ObjectStore,
  name: string,
  uuid: string,
  algo: EncryptAlgo,
  key: VolumeKey,
): Promise<void> {
  const object = `${name}/juicefs_uuid`;
  try {
    const found = await openBlob(algo, key, await store.get(object));
    if (found.toString() === uuid) return;
  } catch (thrown) {
    if (!hasCode(thrown, 'page-damaged', 'page-mismatch')) throw thrown;
    throw fail('wrong-key', `open file system ${name}: key ${key} does not open ${object}`, { cause: thrown });
  }
  throw fail('wrong-key', `open file system ${name}: ${object} holds another UUID`);
}

function openMetadata(
  engine: Engine,
  pages: PageStore,
  options: OpenOptions,
  readOnly: boolean,
  log: Log,
): Promise<OpenedMeta> {
  const { mountPoint = '', sessionId } = options;
  return openMeta({
    engine,
    readOnly,
    log,
    session: { mountPoint, ...(sessionId !== undefined && { sid: sessionId }) },
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
