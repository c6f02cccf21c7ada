// Changes the record of a file system that may be mounted meanwhile: compared and set in one transaction, so that nobody's
// change is lost; mounts take it up with their next heartbeat.

import { randomBytes } from 'node:crypto';
import { nowNs } from '../base/clock.ts';
import { FsError, fail } from '../base/errors.ts';
import { type Changed, type ConfigChange, changedRecord, type FieldChange } from './config-fields.ts';
import { readStatus } from './describe.ts';
import { type Account, enableAccount } from './enable-accounts.ts';
import { normaliseStore } from './format-record.ts';
import { newDirectory } from './meta/new-directory.ts';
import { readSetting } from './meta/read-setting.ts';
import { lockedSettingText, settingText } from './meta/record-row.ts';
import { bigintAt } from './meta/rows.ts';
import { completeTables } from './meta/schema.ts';
import { parseRecord, printRecord, type Setting } from './meta/setting.ts';
import { insertNode, nodeById } from './meta/statements.ts';
import { ROOT, TRASH } from './meta/types.ts';
import { compareVersions, parseVersion } from './meta/version.ts';
import { liveSessions } from './meta/volume-rows.ts';
import { change, must, type Op, query, read, write } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';
import { openStore } from './store/open-store.ts';
import type { StoreSettings } from './store/store.ts';
import { storeSettings } from './store-settings.ts';

export interface ChangeOptions {
  readonly metaUrl: string;
  readonly change: ConfigChange;
  /** How the store is reached, beside what the record says of it: authorities, exceptions. */
  readonly store?: Pick<StoreSettings, 'caBundle' | 'allowInsecureLoopback'>;
  /** Skips the checks of what is changed. */
  readonly force?: boolean;
  /** Asked about each thing that a person may not have meant; rejects to stop. */
  readonly confirm: (question: string) => Promise<void>;
}

export interface ConfigChanged {
  readonly name: string;
  readonly uuid: string;
  readonly changes: readonly FieldChange[];
  readonly notes: readonly string[];
}

/** What has to be counted when it is turned on. */
const accounts: readonly Account[] = ['DirStats', 'UserGroupQuota'];

/** Objects of the volume that a moved bucket must have. */
const SAMPLES = 8;

export async function changeConfig(options: ChangeOptions): Promise<ConfigChanged> {
  const { metaUrl } = options;
  const engine = await openEngine(metaUrl);
  try {
    // Refuses newer formats, and volumes whose encryption is being changed.
    const { setting: before } = await readSetting(engine);
    const wanted = withStore(options.change, before);
    const text = await engine.view(settingText);
    const planned = changedRecord(text ?? '', parseRecord(text ?? ''), wanted);
    if (planned.changes.length === 0) return summary(planned, []);
    if (options.force !== true) await check(options, before, planned);
    const changed = await engine.run(() => apply(wanted), { durable: true });
    const notes: string[] = [];
    if (accounts.some((account) => changed.changes.some(({ name }) => name === account))) await completeTables(engine);
    for (const account of accounts)
      if (changed.changes.some(({ name, to }) => name === account && to === true))
        notes.push(...(await enableAccount(engine, account)));
    const [live = 0n] = await engine.view(function* () {
      return (yield* read(liveSessions(BigInt(Math.floor(Date.now() / 1000)))))[0];
    });
    return summary(changed, [...notesFor(changed, live), ...notes]);
  } finally {
    await engine.close();
  }
}

const summary = ({ setting, changes }: Changed, notes: readonly string[]): ConfigChanged => ({
  name: setting.name,
  uuid: setting.uuid,
  changes,
  notes,
});

/** As the original client stores a folder: absolute, with its slash. */
function withStore(wanted: ConfigChange, before: Setting): ConfigChange {
  if (wanted.bucket === undefined && wanted.storage === undefined) return wanted;
  const { storage, bucket } = normaliseStore({ storage: before.storage, bucket: before.bucket, ...placeIn(wanted) });
  return { ...wanted, ...(wanted.storage !== undefined && { storage }), bucket };
}

const placeIn = ({ storage, bucket }: ConfigChange): Partial<StoreSettings> => ({
  ...(storage !== undefined && { storage }),
  ...(bucket !== undefined && { bucket }),
});

/** What decides where the objects are and whether they can be had. */
const ofStore = ['Storage', 'Bucket', 'AccessKey', 'SecretKey', 'SessionToken'] as const;

const anyQuota = query('SELECT inode FROM jfs_dir_quota LIMIT 1', [], (row) => bigintAt(row, 0));

/** On what stands there now; whoever changed it in between makes the update hit no row. */
function* apply(wanted: ConfigChange): Op<Changed> {
  const text = yield* lockedSettingText();
  if (text === undefined) throw fail('not-formatted', 'config: the file system is gone');
  const changed = changedRecord(text, parseRecord(text), wanted);
  const [trash, quotas] = yield* read(nodeById(TRASH), anyQuota);
  if (wanted.dirStats === false && quotas.length > 0)
    throw fail('failed-precondition', 'config --dir-stats=false: quotas of directories need them', {
      hint: 'take the quotas away first',
    });
  const needsTrash = changed.setting.trashDays > 0 && trash.length === 0;
  yield* write(
    must(
      1,
      change("UPDATE jfs_setting SET value = ? WHERE name = 'format' AND value = ?", printRecord(changed.record), text),
      () => fail('conflict', 'config: somebody else changed the record at the same time', { hint: 'try again' }),
    ),
    ...(needsTrash ? [insertNode(newDirectory(TRASH, 0o555, ROOT, nowNs()))] : []),
  );
  return changed;
}

async function check(options: ChangeOptions, before: Setting, planned: Changed): Promise<void> {
  const { metaUrl, confirm } = options;
  const after = planned.setting;
  const changes = new Set(planned.changes.map(({ name }) => name));
  const { usedSpace, usedInodes, sessions } = await readStatus(metaUrl);
  if (changes.has('Capacity') && after.capacity > 0n && after.capacity < usedSpace)
    await confirm(`capacity ${after.capacity} is less than the ${usedSpace} bytes in use: writes will fail. Go on?`);
  if (changes.has('Inodes') && after.inodes > 0n && after.inodes < usedInodes)
    await confirm(`${after.inodes} inodes are fewer than the ${usedInodes} in use: new files will fail. Go on?`);
  if (changes.has('TrashDays') && after.trashDays === 0)
    await confirm('what lies in the trash will be deleted within the hour, and removed files at once. Go on?');
  if (changes.has('EnableACL')) await confirm('access lists cannot be turned off again. Go on?');
  if (changes.has('MinClientVersion') || changes.has('MaxClientVersion')) {
    const outside = sessions.filter(({ info }) => isOutside(String(info['Version'] ?? ''), planned));
    if (outside.length > 0) await confirm(`${outside.length} clients that are connected will be shut out. Go on?`);
  }
  if (ofStore.some((name) => changes.has(name))) await checkStore(before, after, options);
}

function isOutside(version: string, { record }: Changed): boolean {
  const found = parseVersion(version);
  const [min, max] = ['MinClientVersion', 'MaxClientVersion'].map((name) =>
    parseVersion(String(record.get(name) ?? '')),
  );
  if (found === undefined) return false;
  const tooOld = min !== undefined && compareVersions(found, min) < 0;
  return tooOld || (max !== undefined && compareVersions(found, max) > 0);
}

const someSlices = query(
  `SELECT chunkid, size FROM jfs_chunk_ref WHERE refs > 0 AND chunkid > 0 ORDER BY chunkid DESC LIMIT ${SAMPLES}`,
  [],
  (row) => ({ id: bigintAt(row, 0), size: bigintAt(row, 1) }),
);

/** The store as it is to be takes objects, and has those of the volume. */
async function checkStore(before: Setting, after: Setting, { metaUrl, store: reach }: ChangeOptions): Promise<void> {
  const moved = before.bucket !== after.bucket || before.storage !== after.storage;
  const what = moved
    ? `move ${after.name} from ${before.bucket} to ${after.bucket}`
    : `reach ${after.bucket} with other credentials`;
  const hint = '--force changes the record without looking';
  const store = await openStore(storeSettings({ setting: after, ours: {} }, reach)).catch((thrown: unknown) => {
    const { code, message } = FsError.from(thrown);
    throw fail(code, `${what}: ${message}`, { cause: thrown, hint });
  });
  const engine = await openEngine(metaUrl, { readOnly: true });
  try {
    const object = `${after.name}/testing/${randomBytes(5).toString('hex')}`;
    const bytes = randomBytes(100);
    await store.put(object, [bytes]);
    const found = await store.get(object);
    await store.delete(object);
    if (!found.equals(bytes)) throw fail('store-unavailable', `${what}: an object came back with other contents`);
    const { pageLength } = await import('./page/geometry.ts');
    const { pageObjectKey } = await import('./page/object-key.ts');
    const layout = { volumeName: after.name, hashPrefix: after.hashPrefix };
    const slices = await engine.view(function* () {
      return (yield* read(someSlices))[0];
    });
    for (const { id, size } of slices) {
      const length = pageLength(Number(size), 0, after.pageSize);
      const key = pageObjectKey(layout, { sliceId: id, indx: 0, length });
      if ((await store.head(key)) === undefined)
        throw fail('failed-precondition', `${what}: ${key} is not there`, { hint: `copy the objects first; ${hint}` });
    }
  } finally {
    await engine.close();
    await store.close();
  }
}

/** What a mount goes by from its beginning to its end. */
const forNewMounts = ['Storage', 'Bucket', 'StorageClass', 'UploadLimit', 'DownloadLimit'] as const;

function notesFor({ changes }: Changed, live: bigint): string[] {
  const names = new Set(changes.map(({ name }) => name));
  const notes: string[] = [];
  if (live > 0n && forNewMounts.some((name) => names.has(name)))
    notes.push('mounts that are up keep to the old place, class and limits until they are mounted again');
  else if (live > 0n && ofStore.some((name) => names.has(name)))
    notes.push('mounts that are up go on with these credentials once the store refuses the old ones');
  else if (live > 0n) notes.push('mounts that are up follow with their next heartbeat, within 12 seconds');
  return notes;
}
