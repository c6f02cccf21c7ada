// Makes a file system: checks the store, creates the tables, writes the record and the first rows. Never changes one that
// exists; asked again with the same settings it answers that nothing was to be done.
import { randomBytes, randomUUID } from 'node:crypto';
import { nowNs } from '../base/clock.ts';
import { FsError, fail, hasCode } from '../base/errors.ts';
import {
  checkUuid,
  type FormatOptions,
  type KeyMaterial,
  makeRecord,
  normaliseStore,
  readFormatKey,
} from './format-record.ts';
import { openAtRest } from './keys/at-rest.ts';
import { conversionRows, refuseConversion } from './meta/conversion-lock.ts';
import { type LedgerSetting, ledgerSettingChanges, readLedgerSetting } from './meta/ledger-setting.ts';
import { newDirectory } from './meta/new-directory.ts';
import { insertSettingText, settingText } from './meta/record-row.ts';
import { createTables, hasOurTables } from './meta/schema.ts';
import { parseSetting, printRecord, type Setting, type SettingRecord } from './meta/setting.ts';
import { addCounter, insertDirStats, insertNode } from './meta/statements.ts';
import { type Attr, ROOT, TRASH } from './meta/types.ts';
import { parseEncryptAlgo, sealBlob } from './page/seal.ts';
import { type Change, type Engine, type Op, read, write } from './sql/op.ts';
import { databaseExists, openEngine } from './sql/open-engine.ts';
import { openStore } from './store/open-store.ts';
import type { ObjectStore } from './store/store.ts';

export interface Formatted {
  readonly name: string;
  readonly uuid: string;
  /** False: it was there already. */
  readonly created: boolean;
  /** SHA-256 of the SPKI in hex, when the key is known. */
  readonly keyId: string | undefined;
}

/** As the original client tests a store. */
const TEST_BYTES = 100;

/**
 * Rejects bad-input, damaged-key, passphrase-required, wrong-passphrase, unsupported, store-unavailable,
 * store-not-empty, already-formatted (with other settings), metadata-unavailable.
 */
export async function formatVolume(options: FormatOptions): Promise<Formatted> {
  const uuid = options.uuid === undefined ? randomUUID() : checkUuid(options.uuid);
  const record = makeRecord(options, uuid);
  const key = readFormatKey(options.key, uuid);
  const existing = await findExisting(options, record, key);
  if (existing !== undefined && options.noUpdate === true) return existing;
  const store = await openStore(normaliseStore(options.store), { create: existing === undefined });
  try {
    if (existing !== undefined) {
      // A first call may have died between the record and this object.
      await putUuid(store, record, existing.uuid, key);
      return existing;
    }
    await testStore(store, options.name);
    const faster = await checkEmpty(store, options.name).catch(async (thrown: unknown) => {
      // Objects of somebody who formats at the same time come after his record.
      const made = hasCode(thrown, 'store-not-empty') ? await findExisting(options, record, key) : undefined;
      if (made === undefined) throw thrown;
      return made;
    });
    const other = faster ?? (await createVolume(options, record, key, uuid));
    if (other !== undefined) return other;
    await putUuid(store, record, uuid, key);
    return { name: options.name, uuid, created: true, keyId: key.publicKey?.id };
  } finally {
    await store.close();
  }
}

/** The volume that is there already, if it is the wanted one. */
async function findExisting(
  options: FormatOptions,
  record: SettingRecord,
  key: KeyMaterial,
): Promise<Formatted | undefined> {
  if (!(await databaseExists(options.metaUrl))) return undefined;
  const engine = await openEngine(options.metaUrl);
  try {
    const text = await engine.view(settingText).catch((thrown: unknown) => {
      if (thrown instanceof FsError && thrown.code === 'not-formatted') return undefined;
      throw thrown;
    });
    return text === undefined ? undefined : await compareExisting(engine, text, options, record, key);
  } finally {
    await engine.close();
  }
}

async function compareExisting(
  engine: Engine,
  text: string,
  options: FormatOptions,
  record: SettingRecord,
  key: KeyMaterial,
): Promise<Formatted> {
  if (await hasOurTables(engine)) {
    const [lock] = await engine.view(() => read(conversionRows));
    refuseConversion(`format ${options.name}`, lock);
  }
  const setting = parseSetting(text);
  const ours = await readLedgerSetting(engine);
  const found = { name: setting.name, uuid: setting.uuid, created: false, keyId: ours.keyCheck?.toString('hex') };
  if (options.noUpdate === true) return found;
  const wanted = parseSetting(printRecord(record));
  const different = differences(setting, wanted, options.uuid !== undefined);
  const otherKey =
    key.publicKey !== undefined && ours.keyCheck !== undefined && !ours.keyCheck.equals(key.publicKey.check);
  if (otherKey) different.push('key');
  if (different.length === 0) return found;
  throw fail(
    'already-formatted',
    `format ${options.name}: ${engine.description} holds file system ${setting.name} with other ${different.join(', ')}`,
    { hint: 'a file system cannot be formatted again; choose another metadata url, or wipe the old one first' },
  );
}

/** Names of the settings that differ. Sealed secrets differ by their nonces, so what is in them is compared. */
function differences(found: Setting, wanted: Setting, compareUuid: boolean): string[] {
  const plain = [
    'name', 'storage', 'bucket', 'pageSize', 'compression', 'hashPrefix', 'capacity', 'inodes', 'encryptAlgo',
    'trashDays', 'metaVersion', 'enableAcl', 'storageClass', 'uploadLimit', 'downloadLimit',
  ] as const; // biome-ignore format: a list
  const different: string[] = plain.filter((name) => found[name] !== wanted[name]);
  if (compareUuid && found.uuid !== wanted.uuid) different.push('UUID');
  for (const [name, label] of [
    ['encryptKey', 'key'],
    ['secretKey', 'secret key'],
  ] as const)
    if (secretOf(found, name) !== secretOf(wanted, name)) different.push(label);
  return different;
}

function secretOf(setting: Setting, name: 'encryptKey' | 'secretKey'): string {
  const value = setting[name];
  if (value === '' || !setting.keyEncrypted) return value;
  try {
    return openAtRest(setting.uuid, value).toString('latin1');
  } catch {
    // 'removed' after a dump, or damaged: certainly not the same.
    return `?${value}`;
  }
}

async function testStore(store: ObjectStore, name: string): Promise<void> {
  const object = `${name}/testing/${randomBytes(5).toString('hex')}`;
  const bytes = randomBytes(TEST_BYTES);
  await store.put(object, [bytes]);
  const found = await store.get(object);
  await store.delete(object);
  if (!found.equals(bytes))
    throw fail('store-unavailable', `test ${store.description}: ${object} came back with other contents`);
}

async function checkEmpty(store: ObjectStore, name: string): Promise<void> {
  for await (const object of store.list(`${name}/`)) {
    if (object.size === 0 || object.key.startsWith(`${name}/testing`)) continue;
    throw fail('store-not-empty', `format ${name}: ${store.description} already holds ${object.key}`, {
      hint: 'choose another name or bucket, or remove what is there',
    });
  }
}

/** Tables, then record and rows in one transaction. Answers a volume that somebody else made meanwhile. */
async function createVolume(
  options: FormatOptions,
  record: SettingRecord,
  key: KeyMaterial,
  uuid: string,
): Promise<Formatted | undefined> {
  const engine = await openEngine(options.metaUrl, { create: true });
  try {
    await createTables(engine);
    const text = printRecord(record);
    const existing = await engine.run(() => insertVolume(text, uuid, { ...key.ours, owner: options.owner ?? 'user' }), {
      durable: true,
    });
    return existing === undefined ? undefined : await compareExisting(engine, existing, options, record, key);
  } finally {
    await engine.close();
  }
}

function* insertVolume(text: string, uuid: string, ours: LedgerSetting): Op<string | undefined> {
  const existing = yield* settingText();
  if (existing !== undefined) return existing;
  const { trashDays } = parseSetting(text);
  yield* write(insertSettingText(text), ...firstRows(trashDays > 0), ...ledgerSettingChanges(uuid, ours));
  return undefined;
}

/** Values of the counters of a new volume, in the original client's order. */
const counters = {
  nextInode: 2n,
  nextChunk: 1n,
  nextSession: 0n,
  usedSpace: 0n,
  totalInodes: 0n,
  nextCleanupSlices: 0n,
};

function firstRows(trash: boolean): Change[] {
  const now = nowNs();
  const directory = (ino: bigint, mode: number): Attr => newDirectory(ino, mode, ROOT, now);
  return [
    ...Object.entries(counters).map(([name, value]) => addCounter(name, value)),
    insertNode(directory(ROOT, 0o777)),
    ...(trash ? [insertNode(directory(TRASH, 0o555))] : []),
    // Not the original client's, which makes it with the first child; its fsck wants one by then.
    insertDirStats(ROOT),
  ];
}

/**
 * Never read by any client; people find the volume by it. Sealed like a page when the volume is encrypted, so without a
 * readable key it is left out.
 */
async function putUuid(store: ObjectStore, record: SettingRecord, uuid: string, key: KeyMaterial): Promise<void> {
  if (key.publicKey === undefined && key.ours.custody !== 'unencrypted') return;
  const object = `${String(record.get('Name'))}/juicefs_uuid`;
  if ((await store.head(object)) !== undefined) return;
  const text = Buffer.from(uuid);
  const algo = parseEncryptAlgo(String(record.get('EncryptAlgo')));
  await store.put(object, [key.publicKey === undefined ? text : sealBlob(algo, key.publicKey, text)]);
}
