// Compacts chunks of a volume, all of them or those below given inodes: a step of gc, and the command `compact`. Works
// beside mounts of any client.
import { FsError, fail } from '../base/errors.ts';
import type { OnProgress } from '../base/progress.ts';
import type { Ino } from '../base/words.ts';
import { readdirOp } from './meta/readdir.ts';
import { bigintAt, numberAt } from './meta/rows.ts';
import { RECORD } from './meta/slices.ts';
import { nodeById } from './meta/statements.ts';
import { type Dirent, NodeType } from './meta/types.ts';
import type { OpenedVolume } from './open.ts';
import { type Engine, type Op, query, read } from './sql/op.ts';
import { compactChunk } from './vfs/compact-chunk.ts';

/** Chunks, and entries of a directory, per look at the metadata. */
const PAGE = 500n;
const ENTRIES = 500;
/** Each holds a few pages in memory. */
const DEFAULT_AT_ONCE = 4;
/** Failures that are named; the rest are counted. */
const MAX_NAMED = 20;

export interface CompactOptions {
  readonly volume: Pick<OpenedVolume, 'engine' | 'meta' | 'pages' | 'log'>;
  /** Files, and directories with all below them; absent: every chunk of the volume. */
  readonly below?: readonly Ino[];
  /** Chunks at a time. */
  readonly atOnce?: number;
  /** Chunks that were looked at. */
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

export interface CompactReport {
  /** With more than one record. */
  readonly chunks: number;
  readonly compacted: number;
  /** Records that are no more. */
  readonly records: number;
  readonly failed: number;
  /** The first of what went wrong. */
  readonly failures: readonly string[];
}

interface Chunk {
  readonly id: bigint;
  readonly ino: Ino;
  readonly indx: number;
}

/** A chunk that fails is counted and stays as it was; rejects when metadata cannot be read, and when cancelled. */
export async function compactVolume(options: CompactOptions): Promise<CompactReport> {
  const { volume, onProgress, signal = new AbortController().signal } = options;
  const report = { chunks: 0, compacted: 0, records: 0, failed: 0, failures: [] as string[] };
  const next = serial(chunksOf(volume.engine, options.below));
  const work = async (): Promise<void> => {
    for (let chunk = await next(); chunk !== undefined; chunk = await next()) {
      if (signal.aborted) throw fail('cancelled', 'compacting: cancelled');
      report.chunks++;
      try {
        const records = await compactWhole(options, chunk, signal);
        report.records += records;
        if (records > 0) report.compacted++;
      } catch (thrown) {
        const error = FsError.from(thrown, `compact chunk ${chunk.indx} of inode ${chunk.ino}`);
        if (error.code === 'cancelled') throw error;
        report.failed++;
        if (report.failures.length < MAX_NAMED) report.failures.push(error.message);
      }
      onProgress?.(report.chunks, undefined);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce ?? DEFAULT_AT_ONCE }, work));
  return report;
}

/** Answers how many records there are less. */
async function compactWhole({ volume }: CompactOptions, { ino, indx }: Chunk, signal: AbortSignal): Promise<number> {
  let records = 0;
  for (;;) {
    const result = await compactChunk(volume, ino, indx, signal);
    if (result.kind !== 'done') return records;
    records += result.records - 1;
    if (!result.more) return records;
  }
}

/** One look at a time, for several that take from it. */
function serial(chunks: AsyncGenerator<Chunk>): () => Promise<Chunk | undefined> {
  let turn: Promise<unknown> = Promise.resolve();
  return () => {
    const taken = turn.then(async () => {
      const { value, done } = await chunks.next();
      return done === true ? undefined : value;
    });
    turn = taken.catch(() => undefined);
    return taken;
  };
}

async function* chunksOf(engine: Engine, below: readonly Ino[] | undefined): AsyncGenerator<Chunk> {
  if (below === undefined) yield* pages(engine, (after) => everyChunk(after));
  else for (const top of below) for await (const ino of filesBelow(engine, top)) yield* pages(engine, fileChunks(ino));
}

/** Those with more than one record, of files that are there, in the order of their rows. */
const CHUNKS = `SELECT c.id, c.inode, c.indx FROM jfs_chunk c WHERE LENGTH(BYTES(c.slices)) > ${RECORD} AND`;
const decodeChunk = (row: Parameters<typeof bigintAt>[0]): Chunk => ({
  id: bigintAt(row, 0),
  ino: bigintAt(row, 1),
  indx: numberAt(row, 2),
});

function* everyChunk(after: bigint): Op<Chunk[]> {
  const text = `${CHUNKS} c.id > ? AND EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = c.inode) ORDER BY c.id LIMIT ?`;
  const [found] = yield* read(query(text, [after, PAGE], decodeChunk));
  return found;
}

const fileChunks = (ino: Ino) =>
  function* (after: bigint): Op<Chunk[]> {
    const text = `${CHUNKS} c.inode = ? AND c.id > ? ORDER BY c.id LIMIT ?`;
    const [found] = yield* read(query(text, [ino, after, PAGE], decodeChunk));
    return found;
  };

async function* pages(engine: Engine, look: (after: bigint) => Op<Chunk[]>): AsyncGenerator<Chunk> {
  for (let after = 0n; ; ) {
    const found = await engine.view(() => look(after));
    yield* found;
    const last = found.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

interface Level {
  readonly ino: Ino;
  after: Buffer | undefined;
  rest: Dirent[];
}

/** Depth first, with one page of each directory on the way in memory. */
async function* filesBelow(engine: Engine, top: Ino): AsyncGenerator<Ino> {
  const [[attr]] = await engine.view(() => read(nodeById(top)));
  if (attr?.type === NodeType.file) yield top;
  if (attr?.type !== NodeType.directory) return;
  const path: Level[] = [{ ino: top, after: undefined, rest: [] }];
  for (let here = path.at(-1); here !== undefined; here = path.at(-1)) {
    const { ino, after } = here;
    if (here.rest.length === 0) here.rest = (await engine.view(readdirOp(ino, after, ENTRIES, false))).reverse();
    const entry = here.rest.pop();
    if (entry === undefined) path.pop();
    else {
      here.after = entry.name;
      if (entry.type === NodeType.directory) {
        // A damaged tree may lead back up.
        if (!path.some(({ ino: above }) => above === entry.ino))
          path.push({ ino: entry.ino, after: undefined, rest: [] });
      } else if (entry.type === NodeType.file) yield entry.ino;
    }
  }
}
