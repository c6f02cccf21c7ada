// All metadata as JSON text in the original client's form, out of one moment of the database, piece by piece: memory
// holds a page of each directory on the way down. Writes nothing; the pieces go where the caller wants them.
import { fail } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import { hasOurTables } from '../meta/schema.ts';
import { childByName } from '../meta/statements.ts';
import { type Ino, NodeType, ROOT, TRASH } from '../meta/types.ts';
import { type Op, read, type Snapshot } from '../sql/op.ts';
import { type ChunkRow, chunkText, nodeLines } from './entry.ts';
import { readHeader } from './header.ts';
import { ownTables } from './own-tables.ts';
import {
  CHUNKS,
  type DumpedEntry,
  type DumpedNode,
  dumpedNode,
  entryPage,
  moreChunks,
  type RuleCache,
} from './rows.ts';
import { escapeBytes } from './text.ts';

export interface DumpOptions {
  /** A path inside the file system; then only this directory, as FSTree, and no trash. */
  readonly subdir?: string;
  /** Leave the store's credentials in the record. */
  readonly keepSecretKey?: boolean;
  readonly skipTrash?: boolean;
  /** Entries so far. */
  readonly progress?: OnProgress;
}

export interface DumpSummary {
  readonly name: string;
  readonly uuid: string;
  readonly entries: number;
  /** Entries without a node, left out. */
  readonly orphans: number;
}

/** Text is handed on in pieces of about this length. */
const PIECE = 65_536;
/** Deeper lines are not indented further: the text would grow with the square of the depth. */
const MAX_INDENT = 128;

export async function dumpMetadata(
  snapshot: Snapshot,
  write: (text: string) => Promise<void>,
  options: DumpOptions = {},
): Promise<DumpSummary> {
  const ourTables = await hasOurTables(snapshot);
  const header = await snapshot.view(() => readHeader(ourTables, options.keepSecretKey === true));
  const writer = new TreeWriter(snapshot, write, (done) => options.progress?.(done, Number(header.inodes)));
  await writer.text(`{\n${header.parts.map(([key, text]) => `  "${key}": ${text}`).join(',\n')}`);
  const whole = options.subdir === undefined || options.subdir.replaceAll('/', '') === '';
  const root = whole ? ROOT : await snapshot.view(() => directoryAt(options.subdir ?? ''));
  await writer.tree('FSTree', root, true);
  const skipTrash = options.skipTrash === true || !whole;
  if (!skipTrash) await writer.tree('Trash', TRASH, false);
  for await (const piece of ownTables(snapshot, ourTables, { skipTrash })) await writer.text(piece);
  await writer.end('\n}\n');
  const { entries, orphans } = writer;
  return { name: String(header.record.get('Name')), uuid: String(header.record.get('UUID')), entries, orphans };
}

function* directoryAt(path: string): Op<Ino> {
  let ino: Ino = ROOT;
  for (const name of path.split('/').filter((part) => part !== '')) {
    const [found] = (yield* read(childByName(ino, Buffer.from(name))))[0];
    if (found === undefined) throw fail('not-found', `dump ${path}: no ${JSON.stringify(name)} in inode ${ino}`);
    if (found.type !== NodeType.directory) throw fail('ENOTDIR', `dump ${path}: ${name} is not a directory`);
    ino = found.ino;
  }
  return ino;
}

/** A directory whose entries are being written. */
interface Level {
  readonly ino: Ino;
  entries: readonly DumpedEntry[];
  at: number;
  /** Where the next page begins; undefined when there is none. */
  next: Buffer | undefined;
  /** Whether an entry was written. */
  any: boolean;
}

class TreeWriter {
  entries = 0;
  orphans = 0;
  readonly #snapshot: Snapshot;
  readonly #write: (text: string) => Promise<void>;
  readonly #progress: (done: number) => void;
  readonly #rules: RuleCache = new Map();
  #pending = '';

  constructor(snapshot: Snapshot, write: (text: string) => Promise<void>, progress: (done: number) => void) {
    this.#snapshot = snapshot;
    this.#write = write;
    this.#progress = progress;
  }

  async text(piece: string): Promise<void> {
    this.#pending += piece;
    if (this.#pending.length >= PIECE) await this.#flush();
  }

  async end(piece: string): Promise<void> {
    this.#pending += piece;
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const text = this.#pending;
    this.#pending = '';
    await this.#write(text);
  }

  /** Left out when the node is not there, unless it has to be. */
  async tree(key: string, ino: Ino, required: boolean): Promise<void> {
    const node = await this.#snapshot.view(() => dumpedNode(ino, this.#rules));
    if (node === undefined) {
      if (required) throw fail('metadata-damaged', `dump directory ${ino}: it has no row`);
      return;
    }
    await this.text(`,\n  "${key}": {`);
    await this.#node(node, 1);
    await this.#below(ino);
    await this.text('\n  }');
  }

  /** Everything of a node up to the first entry of a directory. */
  async #node({ attr, extras, chunks }: DumpedNode, depth: number): Promise<void> {
    const line = `\n${indent(depth + 1)}`;
    await this.text(line + nodeLines(attr, extras).join(`,${line}`));
    if (chunks.length > 0) await this.#chunks(attr.ino, chunks, line);
    if (attr.type === NodeType.directory) await this.text(`,${line}"entries": {`);
  }

  /** One on the line of the key, several on lines of their own. */
  async #chunks(ino: Ino, first: readonly ChunkRow[], line: string): Promise<void> {
    const [between, end] = first.length > 1 ? [`${line}  `, line] : ['', ''];
    await this.text(`,${line}"chunks": [${between}${first.map(chunkText).join(`,${between}`)}`);
    for (let page = first; page.length === CHUNKS; ) {
      const from = (page.at(-1)?.indx ?? 0) + 1;
      page = await this.#snapshot.view(() => moreChunks(ino, from));
      for (const chunk of page) await this.text(`,${between}${chunkText(chunk)}`);
    }
    await this.text(`${end}]`);
  }

  /** The entries of a directory that was begun, and its end; a list instead of recursion, since trees may be deep. */
  async #below(top: Ino): Promise<void> {
    const levels: Level[] = [await this.#level(top)];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const depth = 2 * levels.length;
      if (level.at >= level.entries.length && level.next !== undefined) await this.#page(level, level.next);
      const entry = level.entries[level.at];
      if (entry === undefined) {
        await this.text(`\n${indent(depth)}}`);
        levels.pop();
        // The directory's own brace; that of the top one is its caller's.
        if (levels.length > 0) await this.text(`\n${indent(depth - 1)}}`);
        continue;
      }
      level.at += 1;
      await this.text(`${level.any ? ',' : ''}\n${indent(depth + 1)}"${escapeBytes(entry.name)}": {`);
      level.any = true;
      await this.#node(entry, depth + 1);
      this.entries += 1;
      if (entry.attr.type === NodeType.directory) levels.push(await this.#level(entry.attr.ino));
      else await this.text(`\n${indent(depth + 1)}}`);
    }
  }

  async #level(ino: Ino): Promise<Level> {
    const level: Level = { ino, entries: [], at: 0, next: undefined, any: false };
    await this.#page(level, undefined);
    return level;
  }

  async #page(level: Level, after: Buffer | undefined): Promise<void> {
    let page = await this.#snapshot.view(() => entryPage(level.ino, after, this.#rules));
    // A page of entries that lead nowhere is none.
    while (page.entries.length === 0 && page.next !== undefined) {
      this.orphans += page.orphans;
      const { next } = page;
      page = await this.#snapshot.view(() => entryPage(level.ino, next, this.#rules));
    }
    level.entries = page.entries;
    level.at = 0;
    level.next = page.next;
    this.orphans += page.orphans;
    this.#progress(this.entries);
  }
}

const indents = Array.from({ length: MAX_INDENT + 1 }, (_, depth) => '  '.repeat(depth));
const indent = (depth: number): string => indents[Math.min(depth, MAX_INDENT)] ?? '';
