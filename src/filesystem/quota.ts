// Quotas of directories, users and groups as a tool sees them: set, taken away, shown, counted anew. Exact while mounts of
// ours work: a row begins with what is there less what they have pending, and before anything is shown or compared, what
// is pending is added.
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Caller, Ino } from '../base/words.ts';
import { enableAccount, type Waiting } from './enable-accounts.ts';
import { openMeta } from './meta/open-meta.ts';
import {
  limitedOwners,
  type Owner,
  OwnerKind,
  ownerRow,
  recountOwners,
  setOwnerLimit,
  wrongOwners,
} from './meta/owner-rows.ts';
import { allQuotas, type Limits, type Quota, quotaCheck, quotaOf, recountQuota } from './meta/quota-rows.ts';
import { readSetting } from './meta/read-setting.ts';
import { completeTables } from './meta/schema.ts';
import { setQuotaOp } from './meta/set-quota.ts';
import type { Setting } from './meta/setting.ts';
import { deleteDirQuota } from './meta/statements.ts';
import { type Attr, NodeType, ROOT, TRASH } from './meta/types.ts';
import { Usage } from './meta/usage.ts';
import { lockFigures } from './meta/usage-rows.ts';
import { Paths, walk } from './paths.ts';
import { type Change, type Engine, type Op, read, write } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';

export type Subject =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'user' | 'group'; readonly id: bigint };

export interface ShownQuota extends Quota {
  /** A path, or uid:N, gid:N; inode:N for a directory that has no path. */
  readonly of: string;
}

export interface QuotaMismatch {
  readonly of: string;
  /** Undefined: there is no row. */
  readonly says: { readonly space: bigint; readonly inodes: bigint } | undefined;
  readonly found: { readonly space: bigint; readonly inodes: bigint };
}

export interface QuotaSetOptions extends Waiting {
  /** Makes the directory when it is missing. */
  readonly create?: boolean;
}

const ROOT_USER: Caller = { uid: 0, gid: 0, pid: process.pid, umask: 0o022 };

/** The metadata of a volume, with our tables, for the time of `work`. */
async function onVolume<T>(metaUrl: string, work: (engine: Engine, setting: Setting) => Promise<T>): Promise<T> {
  const engine = await openEngine(metaUrl);
  try {
    const { setting } = await readSetting(engine);
    await completeTables(engine);
    return await work(engine, setting);
  } finally {
    await engine.close();
  }
}

const one = <T>(engine: Engine, op: () => Op<readonly T[]>): Promise<T | undefined> =>
  engine.view(op).then(([first]) => first);

const changing = (engine: Engine, ...changes: readonly Change[]): Promise<void> =>
  engine.run(
    function* () {
      yield* read(lockFigures);
      yield* write(...changes);
    },
    { durable: true },
  );

/** What sessions have pending, of all of them. */
const settle = (engine: Engine, setting: Setting): Promise<void> =>
  new Usage(
    engine,
    log,
    () => setting,
    () => 0n,
  ).flush(true);

/** Absent limits stay as they are. Answers the quota as it is then, and what is worth knowing. */
export async function setQuotaOf(
  metaUrl: string,
  subject: Subject,
  limits: Limits,
  options: QuotaSetOptions = {},
): Promise<{ readonly quota: ShownQuota; readonly notes: readonly string[] }> {
  if (subject.kind === 'directory' && options.create === true) await makeDirectory(metaUrl, subject.path);
  return onVolume(metaUrl, async (engine, setting) => {
    let notes: readonly string[] = [];
    if (subject.kind === 'directory') {
      const { ino } = await findDirectory(engine, subject.path);
      if (!setting.dirStats) notes = await enableAccount(engine, 'DirStats', options);
      await engine.run(setQuotaOp(ino, limits), { durable: true });
    } else {
      // The limit first: mounts that take up the account see it at the same time.
      await changing(engine, setOwnerLimit(ownerOf(subject), limits));
      if (!setting.userGroupQuota) notes = await enableAccount(engine, 'UserGroupQuota', options);
    }
    await settle(engine, setting);
    return { quota: await shownOf(engine, subject), notes };
  });
}

export const getQuotaOf = (metaUrl: string, subject: Subject): Promise<ShownQuota> =>
  onVolume(metaUrl, async (engine, setting) => {
    await settle(engine, setting);
    return shownOf(engine, subject);
  });

/** Of a directory the row goes; users and groups are counted on, without limits. */
export const deleteQuotaOf = (metaUrl: string, subject: Subject): Promise<void> =>
  onVolume(metaUrl, async (engine) => {
    await shownOf(engine, subject);
    if (subject.kind === 'directory') {
      const { ino } = await findDirectory(engine, subject.path);
      await changing(engine, deleteDirQuota(ino));
    } else await changing(engine, setOwnerLimit(ownerOf(subject), { maxSpace: -1n, maxInodes: -1n }));
  });

/** Everything that has a limit. */
export const listQuotas = (metaUrl: string): Promise<ShownQuota[]> =>
  onVolume(metaUrl, async (engine, setting) => {
    await settle(engine, setting);
    const { trees, owners } = await engine.view(function* () {
      const [first, second] = yield* read(allQuotas, limitedOwners);
      return { trees: first, owners: second };
    });
    const paths = new Paths(engine);
    const shown: ShownQuota[] = [];
    for (const { ino, ...quota } of trees) shown.push({ of: await nameOf(paths, ino), ...quota });
    return [...shown, ...owners.map(({ kind, id, ...quota }) => ({ of: ownerName({ kind, id }), ...quota }))];
  });

/**
 * What is not as it is found to be, of one directory, of users and groups, or of everything; with `repair` it is made so.
 * Users and groups are always looked at together.
 */
export const checkQuotas = (
  metaUrl: string,
  what: { readonly directory?: string; readonly owners?: boolean },
  repair: boolean,
): Promise<QuotaMismatch[]> =>
  onVolume(metaUrl, async (engine, setting) => {
    await settle(engine, setting);
    const all = what.directory === undefined && what.owners !== true;
    const inodes = await directoriesToCheck(engine, what.directory, all);
    const wrong = await wrongTrees(engine, inodes);
    const owners = all || what.owners === true ? await wrongOwnersOf(engine, setting) : [];
    if (repair) {
      const changes = wrong.map(({ ino }) => recountQuota(ino));
      if (owners.length > 0) changes.push(...recountOwners());
      if (changes.length > 0) await changing(engine, ...changes);
    }
    return [...wrong.map(({ mismatch }) => mismatch), ...owners];
  });

async function directoriesToCheck(engine: Engine, path: string | undefined, all: boolean): Promise<Ino[]> {
  if (path !== undefined) {
    const { ino } = await findDirectory(engine, path);
    await shownOf(engine, { kind: 'directory', path });
    return [ino];
  }
  if (!all) return [];
  return engine.view(function* () {
    const [rows] = yield* read(allQuotas);
    return rows.map(({ ino }) => ino);
  });
}

async function wrongTrees(engine: Engine, inodes: readonly Ino[]): Promise<{ ino: Ino; mismatch: QuotaMismatch }[]> {
  const paths = new Paths(engine);
  const wrong: { ino: Ino; mismatch: QuotaMismatch }[] = [];
  for (const ino of inodes) {
    const check = await one(engine, function* () {
      return (yield* read(quotaCheck(ino)))[0];
    });
    if (check === undefined) continue;
    const { row, found } = check;
    if (row.usedSpace === found.space && row.usedInodes === found.inodes) continue;
    const says = { space: row.usedSpace, inodes: row.usedInodes };
    wrong.push({ ino, mismatch: { of: await nameOf(paths, ino), says, found } });
  }
  return wrong;
}

async function wrongOwnersOf(engine: Engine, { userGroupQuota }: Setting): Promise<QuotaMismatch[]> {
  if (!userGroupQuota) return [];
  const rows = await engine.view(function* () {
    return (yield* read(wrongOwners))[0];
  });
  return rows.map(({ kind, id, says, found }) => ({ of: ownerName({ kind, id }), says, found }));
}

const ownerOf = ({ kind, id }: Exclude<Subject, { readonly kind: 'directory' }>): Owner => ({
  kind: kind === 'user' ? OwnerKind.user : OwnerKind.group,
  id,
});

const ownerName = ({ kind, id }: Owner): string => `${kind === OwnerKind.user ? 'uid' : 'gid'}:${id}`;

const nameOf = async (paths: Paths, ino: Ino): Promise<string> =>
  (await paths.ofDirectory(ino))?.toString() ?? `inode:${ino}`;

async function shownOf(engine: Engine, subject: Subject): Promise<ShownQuota> {
  if (subject.kind === 'directory') {
    const { ino } = await findDirectory(engine, subject.path);
    const row = await one(engine, function* () {
      return (yield* read(quotaOf(ino)))[0];
    });
    if (row === undefined) throw fail('not-found', `directory ${subject.path} has no quota`);
    const { ino: _, ...quota } = row;
    return { of: await nameOf(new Paths(engine), ino), ...quota };
  }
  const owner = ownerOf(subject);
  const row = await one(engine, function* () {
    return (yield* read(ownerRow(owner)))[0];
  });
  if (row === undefined) throw fail('not-found', `${subject.kind} ${subject.id} has no quota and owns nothing`);
  const { kind, id, ...quota } = row;
  return { of: ownerName({ kind, id }), ...quota };
}

async function findDirectory(engine: Engine, path: string): Promise<Attr> {
  const attr = await engine.view(() => walk(path));
  if (attr.type !== NodeType.directory) throw fail('ENOTDIR', `quota of ${path}: it is not a directory`);
  if (attr.ino >= TRASH || attr.parent > TRASH)
    throw fail('refused', `quota of ${path}: nothing in the trash counts towards quotas`);
  return attr;
}

/** With the directories above it, through an ordinary session. */
async function makeDirectory(metaUrl: string, path: string): Promise<void> {
  const engine = await openEngine(metaUrl);
  const removeSlice = (): Promise<void> => Promise.reject(fail('internal', 'a quota has no objects'));
  const meta = await openMeta({ engine, log, removeSlice, backgroundJobs: false });
  try {
    let at: Ino = ROOT;
    for (const name of path.split('/').filter((part) => part !== '' && part !== '.')) {
      const bytes = Buffer.from(name);
      const found = await meta.lookup(ROOT_USER, at, bytes).catch(() => undefined);
      const attr = found ?? (await meta.mkdir(ROOT_USER, at, bytes, 0o777));
      if (attr.type !== NodeType.directory) throw fail('ENOTDIR', `quota of ${path}: ${name} is not a directory`);
      at = attr.ino;
    }
  } finally {
    await meta.close();
  }
}
