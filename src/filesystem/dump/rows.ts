// What a dump reads: directories page by page, long files' chunks likewise, and the figures and lists before the tree.
// Reading operations only.
import type { AclRule } from '../meta/acl.ts';
import { ruleById } from '../meta/acl-rows.ts';
import { attrColumns, bigintAt, bytesAt, decodeAttr, numberAt, textAt } from '../meta/rows.ts';
import { decodeSlices } from '../meta/slices.ts';
import { nodeById } from '../meta/statements.ts';
import { type Attr, type Ino, NodeType } from '../meta/types.ts';
import { type Op, type Query, query, type Row, read } from '../sql/op.ts';
import type { ChunkRow, NodeExtras, Xattr } from './entry.ts';

/** Entries of a directory that are in memory at once. */
const ENTRIES = 200;
/** Chunk rows of a file that come along with its entry; longer files go on by themselves. */
export const CHUNKS = 32;

export interface DumpedNode {
  readonly attr: Attr;
  readonly extras: NodeExtras;
  /** The first CHUNKS ones. */
  readonly chunks: readonly ChunkRow[];
}

export interface DumpedEntry extends DumpedNode {
  readonly name: Buffer;
}

export interface EntryPage {
  readonly entries: readonly DumpedEntry[];
  /** Entries whose node is gone: the original client invents one, here they are left out. */
  readonly orphans: number;
  /** Where the next page begins; undefined at the end. */
  readonly next: Buffer | undefined;
}

/** Rules are shared by many nodes, so they are read once. */
export type RuleCache = Map<number, AclRule>;

const EMPTY = Buffer.alloc(0);

interface NamedRow {
  readonly name: Buffer;
  readonly ino: Ino;
  /** Undefined without a node row. */
  readonly attr: Attr | undefined;
}

function decodeEntry(row: Row): NamedRow {
  const missing = row[2] === null;
  return { name: bytesAt(row, 0), ino: bigintAt(row, 1), attr: missing ? undefined : decodeAttr(row, 2) };
}

const entriesAfter = (parent: Ino, after: Buffer): Query<NamedRow> =>
  query(
    `SELECT BYTES(e.name), e.inode, ${attrColumns('n')} FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.inode
     WHERE e.parent = ? AND e.name > ? ORDER BY e.name LIMIT ${ENTRIES}`,
    [parent, after],
    decodeEntry,
  );

const chunksFrom = (ino: Ino, from: bigint, limit: number): Query<ChunkRow> =>
  query(
    `SELECT indx, BYTES(slices) FROM jfs_chunk WHERE inode = ? AND indx >= ? ORDER BY indx LIMIT ${limit}`,
    [ino, from],
    (row) => {
      const indx = numberAt(row, 0);
      return { indx, slices: decodeSlices(bytesAt(row, 1), `chunk ${indx} of inode ${ino}`) };
    },
  );

const xattrsOf = (ino: Ino): Query<Xattr> =>
  query('SELECT name, BYTES(value) FROM jfs_xattr WHERE inode = ? ORDER BY name', [ino], (row) => ({
    name: textAt(row, 0),
    value: bytesAt(row, 1),
  }));

const targetOf = (ino: Ino): Query<Buffer> =>
  query('SELECT BYTES(target) FROM jfs_symlink WHERE inode = ?', [ino], (row) => bytesAt(row, 0));

/** The next chunks of a long file. */
export function* moreChunks(ino: Ino, from: number): Op<ChunkRow[]> {
  const [found] = yield* read(chunksFrom(ino, BigInt(from), CHUNKS));
  return found;
}

export function* dumpedNode(ino: Ino, rules: RuleCache): Op<DumpedNode | undefined> {
  const [[attr]] = yield* read(nodeById(ino));
  if (attr === undefined) return undefined;
  const [node] = yield* complete([attr], rules);
  return node;
}

export function* entryPage(parent: Ino, after: Buffer | undefined, rules: RuleCache): Op<EntryPage> {
  const [rows] = yield* read(entriesAfter(parent, after ?? EMPTY));
  const whole = rows.flatMap(({ name, attr }) => (attr === undefined ? [] : [{ name, attr }]));
  const nodes = yield* complete(
    whole.map(({ attr }) => attr),
    rules,
  );
  return {
    entries: nodes.map((node, i) => ({ ...node, name: whole[i]?.name ?? EMPTY })),
    orphans: rows.length - whole.length,
    next: rows.length < ENTRIES ? undefined : rows.at(-1)?.name,
  };
}

/** One flight for all of what hangs on these nodes, and one for rules that were not seen before. */
function* complete(attrs: readonly Attr[], rules: RuleCache): Op<DumpedNode[]> {
  const links = attrs.filter(({ type }) => type === NodeType.symlink);
  const files = attrs.filter(({ type }) => type === NodeType.file);
  const unknown = [...new Set(attrs.flatMap(({ accessAcl, defaultAcl }) => [accessAcl, defaultAcl]))].filter(
    (id) => id !== 0 && !rules.has(id),
  );
  const xattrs = yield* read(...attrs.map(({ ino }) => xattrsOf(ino)));
  const targets = yield* read(...links.map(({ ino }) => targetOf(ino)));
  const chunks = yield* read(...files.map(({ ino }) => chunksFrom(ino, 0n, CHUNKS)));
  const found = yield* read(...unknown.map(ruleById));
  unknown.forEach((id, i) => {
    const [rule] = found[i] ?? [];
    if (rule !== undefined) rules.set(id, rule);
  });
  const targetOfLink = new Map(links.map(({ ino }, i) => [ino, targets[i]?.[0]]));
  const chunksOfFile = new Map(files.map(({ ino }, i) => [ino, chunks[i]]));
  return attrs.map((attr, i) => {
    const target = targetOfLink.get(attr.ino);
    const access = rules.get(attr.accessAcl);
    const inherited = rules.get(attr.defaultAcl);
    return {
      attr,
      extras: {
        xattrs: xattrs[i] ?? [],
        ...(target !== undefined && { target }),
        ...(access !== undefined && { access }),
        ...(inherited !== undefined && { default: inherited }),
      },
      chunks: chunksOfFile.get(attr.ino) ?? [],
    };
  });
}
