// Several clients at the same names at once, where only what they lock stands still.
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { log } from '../../src/base/log.ts';
import type { SliceId } from '../../src/base/words.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import { runChecks } from '../../src/filesystem/fsck/checks.ts';
import { treeChecks } from '../../src/filesystem/fsck/tree.ts';
import { type OpenedMeta, openMeta } from '../../src/filesystem/meta/open-meta.ts';
import { paint } from '../../src/filesystem/meta/overlap.ts';
import { setQuotaOp } from '../../src/filesystem/meta/set-quota.ts';
import { CHUNK_SIZE, type Ino, ROOT } from '../../src/filesystem/meta/types.ts';
import type { Engine } from '../../src/filesystem/sql/op.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { isScaled, newPlace, type Place, rows } from '../harness/place.ts';
import { psql } from '../harness/psql.ts';
import { Temp } from '../harness/temp.ts';
import { sizes } from '../sizes.ts';
import { type Arena, Contender, compact, type Made, root } from './contention.ts';
import { placeViolations } from './invariants.ts';
import { Random } from './random.ts';
import { seedOf } from './seed.ts';

const CLIENTS = 4;
/** Operations that one client has under way. */
const AT_ONCE = 3;
/** Short, so that settings, and files that others unlinked, are taken up during a run. */
const HEARTBEAT_MS = 1000;

const temp = new Temp();
after(() => temp.remove());

/** A volume and clients of it, each with connections of its own. */
class Clients {
  readonly place: Place;
  readonly engine: Engine;
  readonly metas: OpenedMeta[] = [];
  /** Slices whose objects are gone. */
  readonly removed = new Set<SliceId>();

  private constructor(place: Place, engine: Engine) {
    this.place = place;
    this.engine = engine;
  }

  static async open(name: string): Promise<Clients> {
    const place = await newPlace(temp, name);
    const { metaUrl } = place;
    await formatVolume({ metaUrl, name, store: { storage: 'mem', bucket: name }, key: { kind: 'none' }, trashDays: 1 });
    const clients = new Clients(place, await openEngine(metaUrl));
    await place.change(
      `UPDATE jfs_setting SET value = REPLACE(value, '"DirStats": true', '"DirStats": true, "UserGroupQuota": true')`,
    );
    for (let client = 0; client < CLIENTS; client++)
      clients.metas.push(
        await openMeta({
          engine: await openEngine(metaUrl),
          log,
          session: { mountPoint: '/mnt', heartbeatMs: HEARTBEAT_MS },
          removeSlice: async (id) => void clients.removed.add(id),
        }),
      );
    return clients;
  }

  /** The same work by every client, as often as it may be under way. */
  async all(work: (meta: OpenedMeta, nth: number) => Promise<void>): Promise<void> {
    const each = this.metas.flatMap((meta, client) =>
      Array.from({ length: AT_ONCE }, (_, worker) => work(meta, client * AT_ONCE + worker)),
    );
    const ended = await Promise.allSettled(each);
    for (const end of ended) if (end.status === 'rejected') throw end.reason;
  }

  /** Ends all clients; what is wrong with the volume then. */
  async close(): Promise<string[]> {
    await Promise.all(this.metas.map((meta) => meta.close()));
    // What the last of them could not add: figures that others were adding just then.
    const last = await openMeta({
      engine: await openEngine(this.place.metaUrl),
      log,
      removeSlice: async () => undefined,
    });
    await last.close();
    const { findings } = await runChecks(this.engine, treeChecks, undefined);
    await this.engine.close();
    const named = await rows(this.place, 'SELECT CAST(slices AS BLOB) AS slices FROM jfs_chunk');
    const used = new Set(named.flatMap(({ slices }) => idsOf(Buffer.from(slices ?? []))));
    const lost = [...this.removed]
      .filter((id) => used.has(id))
      .map((id) => `slice ${id} is used, and its objects are gone`);
    return [...(await placeViolations(this.place)), ...findings, ...lost];
  }
}

function idsOf(records: Buffer): SliceId[] {
  const ids: SliceId[] = [];
  for (let at = 0; at < records.length; at += 24) ids.push(records.readBigUInt64BE(at + 4));
  return ids;
}

test('random operations on the same names by several clients leave a sound volume', async (t) => {
  const clients = await Clients.open('mixed');
  const seed = seedOf(t);
  const [first] = clients.metas;
  assert.ok(first);
  const arena: Arena = { engine: clients.engine, directories: [ROOT], files: [], counts: new Map() };
  for (const name of ['x', 'y', 'z'])
    arena.directories.push((await first.mkdir(root, ROOT, Buffer.from(name), 0o755)).ino);
  for (const name of ['a', 'b'])
    arena.files.push((await first.create(root, ROOT, Buffer.from(name), 0o644, true)).attr.ino);
  await clients.all((meta, nth) => new Contender(meta, arena, new Random(seed + nth)).run(sizes.contendedSteps));
  assert.deepEqual(await clients.close(), []);
  tell(t, arena, clients.place);
});

/** How it went, by action. */
function tell(t: TestContext, { counts }: Arena, { metaUrl }: Place): void {
  const all = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, times]) => `${what} ${times}`);
  t.diagnostic(all.join(', '));
  if (!isScaled) return;
  const stats = 'SELECT deadlocks, xact_commit, xact_rollback FROM pg_stat_database WHERE datname = current_database()';
  const [deadlocks, commits, rollbacks] = psql(metaUrl, stats).trim().split('|');
  t.diagnostic(`${commits} transactions committed, ${rollbacks} rolled back, ${deadlocks} deadlocks`);
}

test('no append of several clients is lost or torn, whoever compacts meanwhile', async () => {
  const clients = await Clients.open('appends');
  const [first] = clients.metas;
  assert.ok(first);
  const files: Ino[] = [];
  for (const name of ['a', 'b']) files.push((await first.create(root, ROOT, Buffer.from(name), 0o644, true)).attr.ino);
  const made: Made = new Map();
  const appended: { readonly ino: Ino; readonly at: bigint; readonly id: SliceId; readonly len: number }[] = [];
  await clients.all(async (meta, nth) => {
    const random = new Random(nth);
    for (let round = 0; round < sizes.contendedAppends; round++) {
      const ino = random.pick(files);
      if (random.chance(0.2)) await compact(meta, ino, 0, made);
      const id = await meta.newSliceId();
      const size = 1 + random.below(5000);
      const commit = { indx: 0, slice: { pos: 0, id, size, off: 0, len: size }, ledger: [], mtime: 1n };
      const { records } = await meta.commitAppended(ino, [commit]);
      assert.equal(records?.length, 1);
      appended.push({ ino, at: BigInt(records[0]?.slice.pos ?? 0), id, len: size });
    }
  });
  for (const ino of files) {
    const mine = appended.filter((one) => one.ino === ino).sort((a, b) => Number(a.at - b.at));
    const shown = await contents(first, ino, made);
    assert.deepEqual(
      shown,
      mine.map(({ id, len }) => ({ id, off: 0, len })),
    );
    assert.equal((await first.getattr(ino)).length, BigInt(mine.reduce((sum, { len }) => sum + len, 0)));
  }
  assert.deepEqual(await clients.close(), []);
});

interface Piece {
  readonly id: SliceId;
  readonly off: number;
  readonly len: number;
}

/** What the first chunk shows, by the slices that were appended. */
async function contents(meta: OpenedMeta, ino: Ino, made: Made): Promise<Piece[]> {
  const { length } = await meta.getattr(ino);
  assert.ok(length < CHUNK_SIZE);
  const pieces = paint((await meta.readChunk(ino, 0)).slices, 0, Number(length)).flatMap(({ len, layer, skip }) =>
    resolve({ id: layer?.id ?? 0n, off: (layer?.off ?? 0) + skip, len }, made),
  );
  const joined: Piece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last?.id === piece.id && last.off + last.len === piece.off)
      joined[joined.length - 1] = { ...last, len: last.len + piece.len };
    else joined.push(piece);
  }
  return joined;
}

function resolve(piece: Piece, made: Made): Piece[] {
  const parts = made.get(piece.id);
  if (parts === undefined) return [piece];
  const found: Piece[] = [];
  let at = 0;
  for (const part of parts) {
    const from = Math.max(at, piece.off);
    const to = Math.min(at + part.len, piece.off + piece.len);
    if (from < to) found.push(...resolve({ id: part.id, off: part.off + from - at, len: to - from }, made));
    at += part.len;
  }
  return found;
}

test('directories that several clients move into each other never hang on themselves', async () => {
  const clients = await Clients.open('loops');
  const [first] = clients.metas;
  assert.ok(first);
  const directories: Ino[] = [];
  for (const name of ['a', 'b', 'c', 'd'])
    directories.push((await first.mkdir(root, ROOT, Buffer.from(name), 0o755)).ino);
  const names = ['a', 'b', 'c', 'd'].map((name) => Buffer.from(name));
  await clients.all(async (meta, nth) => {
    const random = new Random(nth);
    for (let round = 0; round < sizes.contendedMoves; round++) {
      const name = random.pick(names);
      const [from, to] = [random.pick([ROOT, ...directories]), random.pick([ROOT, ...directories])];
      await meta.rename(root, from, name, to, name, 1).catch(onlyWhatMayBe);
    }
  });
  assert.deepEqual(await clients.close(), []);
});

function onlyWhatMayBe(thrown: unknown): void {
  assert.match(
    String((thrown as { code?: unknown }).code),
    /^(ENOENT|EEXIST|EINVAL|EDQUOT|ENOTEMPTY)$/,
    String(thrown),
  );
}

test('a quota is not exceeded and not left unused, however many clients there are', async () => {
  const clients = await Clients.open('limits');
  const [first] = clients.metas;
  assert.ok(first);
  const { ino } = await first.mkdir(root, ROOT, Buffer.from('limited'), 0o755);
  const limit = 60n;
  await clients.engine.run(setQuotaOp(ino, { maxInodes: limit }));
  await new Promise((resolve) => setTimeout(resolve, 2 * HEARTBEAT_MS)); // each client learns of it
  await clients.all(async (meta, nth) => {
    for (let round = 0; round < 20; round++)
      await meta.create(root, ino, Buffer.from(`${nth}-${round}`), 0o644, true).catch(onlyWhatMayBe);
  });
  assert.equal(BigInt((await first.readdir(ino, undefined, 1000, false)).length), limit);
  assert.deepEqual(await clients.close(), []);
});
