// How many flights each operation takes (docs/ARCHITECTURE.md: reads, then writes with their commit): on a database that is
// reached over a network each is a wait. Printed as a table.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../../src/base/errors.ts';
import type { Caller } from '../../../src/base/words.ts';
import { formatVolume } from '../../../src/filesystem/format.ts';
import { readChunk } from '../../../src/filesystem/meta/chunk-view.ts';
import { LOCK_END, LockType } from '../../../src/filesystem/meta/lock-ranges.ts';
import type { ChunkView, SliceCommit } from '../../../src/filesystem/meta/meta.ts';
import { type OpenedMeta, openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { OwnerKind, setOwnerLimit } from '../../../src/filesystem/meta/owner-rows.ts';
import { setQuota } from '../../../src/filesystem/meta/quota-rows.ts';
import { putSettingText, settingText } from '../../../src/filesystem/meta/record-row.ts';
import { CHUNK_SIZE, type Ino, NodeType, ROOT } from '../../../src/filesystem/meta/types.ts';
import { type Dialect, type Op, write } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { ScaledPlace } from '../../harness/scaled-place.ts';
import { sharedServers } from '../../harness/servers.ts';
import { makeTemp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';
import { CountingEngine } from './flights.ts';
import { quiet, root } from './volume.ts';

const haveServers = needs('root', 'openssl', 'postgres', 'versitygw');
const temp = makeTemp();
const name = (text: string): Buffer => Buffer.from(text);
const user: Caller = { uid: 1000, gid: 1000, pid: 1, umask: 0o022 };
const KIB = 1024;
/** More than anything here takes. */
const PLENTY = 1n << 40n;
/** u: rwx, named user 1001: rwx, g: r-x, mask: rwx, o: r-x. */
const ACL = Buffer.from(
  '0200000001000700ffffffff02000700e903000004000500ffffffff10000700ffffffff20000500ffffffff',
  'hex',
);

/** What the volume and the directory are like in which an operation is tried. */
interface Situation {
  readonly name: string;
  readonly trashDays: number;
  readonly caller?: Caller;
  readonly capacity?: bigint;
  readonly inodes?: bigint;
  /** A quota of the root and one of the directory. */
  readonly quotas?: boolean;
  /** Limits of the user and the group. */
  readonly owners?: boolean;
  /** The directory has a default list. */
  readonly defaultAcl?: boolean;
  /** Files have two names. */
  readonly linked?: boolean;
}

const situations: readonly Situation[] = [
  { name: 'trash', trashDays: 1 },
  { name: 'no trash', trashDays: 0 },
  { name: 'limits of the volume', trashDays: 1, capacity: PLENTY, inodes: 1000n },
  { name: 'quotas of directories', trashDays: 1, quotas: true },
  { name: 'quotas of owners', trashDays: 0, owners: true, caller: user },
  { name: 'everything, lists', trashDays: 1, capacity: PLENTY, quotas: true, owners: true, defaultAcl: true },
  { name: 'second names', trashDays: 1, linked: true },
  { name: 'second names, quotas, no trash', trashDays: 0, linked: true, quotas: true },
];

interface Place {
  readonly meta: OpenedMeta;
  readonly caller: Caller;
  readonly directory: Ino;
  readonly other: Ino;
  /** In the other directory. */
  readonly second: Ino;
  file(text: string): Promise<Ino>;
}

type Step = (place: Place, file: Ino) => Promise<unknown>;

interface Case {
  readonly flights: number;
  /** Answers what the operation acts on, if that is not the file `f`. */
  readonly prepare?: Step;
  readonly work: Step;
  /** Where it is otherwise. */
  readonly rarely?: (situation: Situation, dialect: Dialect) => number | undefined;
}

const F = name('f');
let slices = 0n;
let volumes = 0;

/** 4 KiB at a place in a file, of a slice that is new. */
function commit(indx: number, pos: number): SliceCommit {
  const id = 1_000_000n + slices++;
  const ledger = [{ sliceId: id, indx: 0, tag: Buffer.alloc(16), pageKey: Buffer.alloc(61) }];
  return { indx, slice: { pos, id, size: 4 * KIB, off: 0, len: 4 * KIB }, ledger, mtime: 1n };
}

const content: Step = ({ meta, caller }, ino) => meta.commitSlices(caller, ino, [commit(0, 0)]);
const target: Step = ({ file }) => file('g');
const makeDirectory: Step = ({ meta, caller, directory }) => meta.mkdir(caller, directory, name('d'), 0o755);
const full: Step = async ({ meta, caller, directory }) => {
  const { ino } = await meta.mkdir(caller, directory, name('d'), 0o777);
  await meta.create(caller, ino, F, 0o644, true);
};
const flock = (ino: Ino, type: LockType) =>
  ({ family: 'flock', ino, owner: 5n, type, start: 0n, end: LOCK_END, pid: 1 }) as const;

const cases: Readonly<Record<string, Case>> = {
  create: { flights: 2, work: ({ meta, caller, directory }) => meta.create(caller, directory, name('n'), 0o644, true) },
  'create, exists': { flights: 1, work: ({ meta, caller, directory }) => meta.create(caller, directory, F, 0o644, false) },
  mknod: { flights: 2, work: ({ meta, caller, directory }) => meta.mknod(caller, directory, name('n'), NodeType.fifo, 0o644, 0) },
  mkdir: { flights: 2, work: ({ meta, caller, directory }) => meta.mkdir(caller, directory, name('n'), 0o755) },
  symlink: { flights: 2, work: ({ meta, caller, directory }) => meta.symlink(caller, directory, name('n'), name('x')) },
  link: { flights: 2, work: ({ meta, caller, directory }, file) => meta.link(caller, file, directory, name('n')) },
  lookup: { flights: 1, work: ({ meta, caller, directory }) => meta.lookup(caller, directory, F) },
  getattr: { flights: 1, work: ({ meta }, file) => meta.getattr(file) },
  readlink: {
    flights: 1,
    prepare: async ({ meta, caller, directory }) => (await meta.symlink(caller, directory, name('s'), name('x'))).ino,
    work: ({ meta }, link) => meta.readlink(link),
  },
  readdir: { flights: 1, work: ({ meta, directory }) => meta.readdir(directory, undefined, 10, true) },
  statfs: { flights: 1, work: ({ meta, directory }) => meta.statfs(directory), rarely: ({ quotas }) => (quotas ? 2 : undefined) },
  chmod: { flights: 2, work: ({ meta, caller }, file) => meta.setattr(caller, file, { mode: 0o600 }) },
  chown: { flights: 2, work: ({ meta }, file) => meta.setattr(root, file, { uid: 7, gid: 7 }) },
  utimes: { flights: 2, work: ({ meta, caller }, file) => meta.setattr(caller, file, { mtime: 5n }) },
  'truncate, longer': { flights: 2, work: ({ meta, caller }, file) => meta.truncate(caller, file, 100_000n) },
  'truncate, shorter': { flights: 2, prepare: content, work: ({ meta, caller }, file) => meta.truncate(caller, file, 0n) },
  fallocate: { flights: 2, work: ({ meta, caller }, file) => meta.fallocate(caller, file, 0, 0n, 100_000n) },
  write: { flights: 2, work: ({ meta, caller }, file) => meta.commitSlices(caller, file, [commit(0, 0), commit(0, 8192)]) },
  'write, two chunks': { flights: 2, work: ({ meta, caller }, file) => meta.commitSlices(caller, file, [commit(0, CHUNK_SIZE - 4 * KIB), commit(1, 0)]) },
  append: { flights: 2, prepare: content, work: ({ meta }, file) => meta.commitAppended(file, [commit(0, 4 * KIB)]) },
  'copy a range': {
    flights: 2,
    prepare: content,
    work: ({ meta, caller, second }, file) =>
      meta.copyRange(caller, { ino: file, offset: 0n }, { ino: second, offset: 0n }, 4096n),
  },
  'read a chunk': { flights: 1, prepare: content, work: ({ meta }, file) => meta.readChunk(file, 0), rarely: (_, dialect) => (dialect === 'sqlite' ? 2 : undefined) },
  rename: { flights: 2, work: ({ meta, caller, directory }) => meta.rename(caller, directory, F, directory, name('n'), 0) },
  'rename, other directory': { flights: 2, work: ({ meta, caller, directory, other }) => meta.rename(caller, directory, F, other, name('n'), 0) },
  'rename, over a file': { flights: 2, prepare: target, work: ({ meta, caller, directory }) => meta.rename(caller, directory, F, directory, name('g'), 0) },
  'rename, over a file with data': {
    flights: 2,
    prepare: async (place) => content(place, (await target(place, 0n)) as Ino),
    work: ({ meta, caller, directory }) => meta.rename(caller, directory, F, directory, name('g'), 0),
  },
  'rename, directory': {
    flights: 2,
    prepare: full,
    work: ({ meta, caller, directory, other }) => meta.rename(caller, directory, name('d'), other, name('d'), 0),
    // What moves from one quota's tree to another's is counted first.
    rarely: ({ quotas }) => (quotas ? 3 : undefined),
  },
  'rename, over a directory': {
    flights: 2,
    prepare: async (place) => {
      await makeDirectory(place, 0n);
      await place.meta.mkdir(place.caller, place.directory, name('e'), 0o755);
    },
    work: ({ meta, caller, directory }) => meta.rename(caller, directory, name('d'), directory, name('e'), 0),
  },
  exchange: { flights: 2, prepare: target, work: ({ meta, caller, directory }) => meta.rename(caller, directory, F, directory, name('g'), 2) },
  unlink: { flights: 2, work: ({ meta, caller, directory }) => meta.unlink(caller, directory, F) },
  'unlink, for good': { flights: 2, work: ({ meta, caller, directory }) => meta.unlink(caller, directory, F, { skipTrash: true }) },
  'unlink, open': {
    flights: 2,
    prepare: async ({ meta }, file) => meta.opened(file),
    work: ({ meta, caller, directory }) => meta.unlink(caller, directory, F),
  },
  rmdir: { flights: 2, prepare: makeDirectory, work: ({ meta, caller, directory }) => meta.rmdir(caller, directory, name('d')) },
  setxattr: { flights: 2, work: ({ meta, caller }, file) => meta.setxattr(caller, file, 'user.a', name('x'), 0) },
  getxattr: {
    flights: 1,
    prepare: ({ meta, caller }, file) => meta.setxattr(caller, file, 'user.a', name('x'), 0),
    work: ({ meta }, file) => meta.getxattr(file, 'user.a'),
  },
  removexattr: {
    flights: 2,
    prepare: ({ meta, caller }, file) => meta.setxattr(caller, file, 'user.a', name('x'), 0),
    work: ({ meta, caller }, file) => meta.removexattr(caller, file, 'user.a'),
  },
  'set a list': { flights: 2, work: ({ meta, caller }, file) => meta.setxattr(caller, file, 'system.posix_acl_access', ACL, 0) },
  'get a list': {
    flights: 1,
    prepare: ({ meta, caller }, file) => meta.setxattr(caller, file, 'system.posix_acl_access', ACL, 0),
    work: ({ meta }, file) => meta.getxattr(file, 'system.posix_acl_access'),
  },
  'chmod with a list': {
    flights: 2,
    prepare: ({ meta, caller }, file) => meta.setxattr(caller, file, 'system.posix_acl_access', ACL, 0),
    work: ({ meta, caller }, file) => meta.setattr(caller, file, { mode: 0o640 }),
  },
  lock: { flights: 2, work: ({ meta }, file) => meta.setLock(flock(file, LockType.write)) },
  unlock: {
    flights: 1,
    prepare: ({ meta }, file) => meta.setLock(flock(file, LockType.write)),
    work: ({ meta }, file) => meta.setLock(flock(file, LockType.none)),
  },
}; // biome-ignore format: a table reads better than a column

async function countIn(metaUrl: string, situation: Situation): Promise<Map<string, number>> {
  const { trashDays, capacity, inodes, caller = root } = situation;
  const limits = { trashDays, ...(capacity && { capacity }), ...(inodes && { inodes }) };
  const store = { storage: 'mem', bucket: `flights-${++volumes}` };
  await formatVolume({ metaUrl, name: 'flights', store, key: { kind: 'none' }, ...limits });
  const inner = await openEngine(metaUrl);
  await inner.run(() => prepareVolume(situation));
  const engine = new CountingEngine(inner);
  const removeSlice = async (): Promise<void> => undefined;
  const meta = await openMeta({ engine, log: quiet, session: { mountPoint: '/mnt' }, removeSlice });
  const found = new Map<string, number>();
  let number = 0;
  // The first time round makes the trash's directory and the lists, and fetches ids.
  for (const counts of [false, true]) {
    for (const [what, { prepare, work }] of Object.entries(cases)) {
      const place = await makePlace(meta, caller, `${number++}`);
      const { directory, other } = place;
      if (situation.defaultAcl) await meta.setxattr(caller, directory, 'system.posix_acl_default', ACL, 0);
      if (situation.quotas) await inner.run(() => write(setQuota(directory, { maxSpace: PLENTY })));
      const file = await place.file('f');
      if (situation.linked) await meta.link(caller, file, other, name('again'));
      const subject = (await prepare?.(place, file)) ?? file;
      const flights = await engine.count(() => work(place, typeof subject === 'bigint' ? subject : file));
      if (counts) found.set(what, flights);
    }
  }
  await meta.close();
  return found;
}

function* prepareVolume({ quotas, owners }: Situation): Op<void> {
  const record = JSON.parse((yield* settingText()) ?? '') as Record<string, unknown>;
  const kinds = owners ? [OwnerKind.user, OwnerKind.group] : [];
  yield* write(
    putSettingText(JSON.stringify({ ...record, EnableACL: true, UserGroupQuota: owners === true })),
    ...kinds.map((kind) => setOwnerLimit({ kind, id: 1000n }, { maxSpace: PLENTY, maxInodes: 1000n })),
    ...(quotas ? [setQuota(ROOT, { maxSpace: PLENTY, maxInodes: 1000n })] : []),
  );
}

async function makePlace(meta: OpenedMeta, caller: Caller, unique: string): Promise<Place> {
  const { ino: directory } = await meta.mkdir(caller, ROOT, name(`d${unique}`), 0o777);
  const { ino: other } = await meta.mkdir(caller, ROOT, name(`o${unique}`), 0o777);
  const make = async (parent: Ino, text: string): Promise<Ino> =>
    (await meta.create(caller, parent, name(text), 0o644, true)).attr.ino;
  const second = await make(other, 'second');
  return { meta, caller, directory, other, second, file: (text) => make(directory, text) };
}

/** Prints the table and answers what is not as it should be. */
function judge(title: string, tables: readonly Map<string, number>[], dialect: Dialect): string[] {
  const width = Math.max(...Object.keys(cases).map((what) => what.length));
  console.log(`${title}: ${situations.map((one, i) => `${i + 1} ${one.name}`).join(', ')}`);
  const wrong: string[] = [];
  for (const [what, { flights, rarely }] of Object.entries(cases)) {
    const row = tables.map((table) => table.get(what));
    console.log(`${what.padEnd(width)} ${row.map((count) => String(count).padStart(3)).join('')}`);
    for (const [i, situation] of situations.entries()) {
      const bound = rarely?.(situation, dialect) ?? flights;
      if (row[i] !== bound) wrong.push(`${what} (${situation.name}): ${row[i]}, wanted ${bound}`);
    }
  }
  return wrong;
}

test('an operation takes one flight of reads and one of writes', async () => {
  const urls = situations.map((_, i) => `sqlite3://${temp.at(`${i}.db`)}`);
  const tables = await Promise.all(situations.map((situation, i) => countIn(urls[i] ?? '', situation)));
  assert.deepEqual(judge('SQLite', tables, 'sqlite'), []);
});

test('as many on PostgreSQL, and one for reading a chunk', haveServers, async () => {
  const servers = await sharedServers();
  const tables: Map<string, number>[] = [];
  for (const situation of situations) {
    const { metaUrl } = await ScaledPlace.make(temp, servers);
    tables.push(await countIn(metaUrl, situation));
  }
  assert.deepEqual(judge('PostgreSQL', tables, 'postgres'), []);
});

test('one statement answers of a chunk what two flights do', haveServers, async () => {
  const { metaUrl } = await ScaledPlace.make(temp, await sharedServers());
  const store = { storage: 'mem', bucket: `flights-${++volumes}` };
  await formatVolume({ metaUrl, name: 'flights', store, key: { kind: 'none' } });
  const engine = await openEngine(metaUrl);
  const meta = await openMeta({ engine, log: quiet, session: { mountPoint: '/' }, removeSlice: async () => undefined });
  const make = async (text: string) => (await meta.create(root, ROOT, name(text), 0o644, true)).attr.ino;
  const [full, empty] = [await make('full'), await make('empty')];
  // Numbers of 63 bits, a slice with two pages and two records, holes.
  slices = (1n << 62n) - 40n;
  const commits = Array.from({ length: 60 }, (_, i) => commit(0, i * 4 * KIB));
  const [{ slice, ledger } = commit(0, 0)] = commits;
  const [{ tag, pageKey } = { tag: Buffer.alloc(16), pageKey: Buffer.alloc(61) }] = ledger;
  const second = { sliceId: slice.id, indx: 1, tag, pageKey };
  await meta.commitSlices(root, full, [{ ...commits[0], slice, indx: 0, mtime: 1n, ledger: [...ledger, second] }]);
  await meta.commitSlices(root, full, commits.slice(1));
  await meta.fallocate(root, full, 3, 0n, 100n);
  await meta.copyRange(root, { ino: full, offset: 200n }, { ino: full, offset: 1n << 20n }, 4096n);
  const sorted = ({ slices: records, ledger: rows }: ChunkView) => ({
    records,
    rows: rows.map((row) => `${row.sliceId} ${row.indx} ${row.tag.length} ${row.pageKey.length}`).sort(),
  });
  const both = async (ino: Ino): Promise<ChunkView[]> =>
    Promise.all((['postgres', 'sqlite'] as const).map((how) => engine.view(() => readChunk(ino, 0, true, how))));
  const [one, two] = (await both(full)).map(sorted);
  assert.deepEqual(one, two);
  assert.deepEqual([one?.records.length, one?.rows.length], [63, 61]);
  for (const view of await both(empty)) assert.deepEqual(view, { slices: [], ledger: [] });
  await assert.rejects(
    engine.view(() => readChunk(99_999n, 0, true, 'postgres')),
    (e) => hasCode(e, 'ENOENT'),
  );
  await meta.close();
});
