// What the metadata says of one node: attributes, where its bytes lie, its paths, and for a directory what it holds. Needs
// no key.
import { fail } from '../base/errors.ts';
import type { Ino, SliceId } from '../base/words.ts';
import { reading } from './describe.ts';
import { bytesAt, numberAt } from './meta/rows.ts';
import { decodeSlices } from './meta/slices.ts';
import { nodeById, symlinkTarget } from './meta/statements.ts';
import { entrySums, sumsOf, type TreeSums, treeSums } from './meta/tree-sums.ts';
import { type Attr, NodeType, type Slice } from './meta/types.ts';
import { pageCount, pageLength } from './page/geometry.ts';
import { pageObjectKey } from './page/object-key.ts';
import { Paths, walk } from './paths.ts';
import { type Engine, type Op, query, read } from './sql/op.ts';
import { sumsFrom } from './summary.ts';

export interface SliceInfo extends Slice {
  readonly chunk: number;
  /** Keys of the objects of the whole slice. */
  readonly objects: readonly string[];
}

export interface FileInfo {
  readonly path: string;
  readonly attr: Attr;
  readonly type: string;
  readonly target: string | undefined;
  /** Records in commit order, holes included. */
  readonly slices: readonly SliceInfo[];
  /** Of a directory: it and its entries, or with `recursive` everything below it. */
  readonly sums: TreeSums;
  /** Every name that it has, from the root of the file system; in the trash, those there. */
  readonly paths: readonly string[];
}

export interface InfoOptions {
  readonly recursive?: boolean;
  /** Count every entry instead of taking the sums that are kept per directory. */
  readonly strict?: boolean;
}

const typeNames = new Map<number, string>(Object.entries(NodeType).map(([name, code]) => [code, name]));

/** `at`: an inode, or a path from the file system's root; ".trash" leads to the trash. Links are not followed. */
export const readInfo = (metaUrl: string, at: string | Ino, options: InfoOptions = {}): Promise<FileInfo> =>
  reading(metaUrl, async (engine, { setting }) => {
    const found = await engine.view(() => inspect(at));
    const layout = { volumeName: setting.name, hashPrefix: setting.hashPrefix };
    const objectsOf = (sliceId: SliceId, size: number): string[] =>
      Array.from({ length: pageCount(size, setting.pageSize) }, (_, indx) =>
        pageObjectKey(layout, { sliceId, indx, length: pageLength(size, indx, setting.pageSize) }),
      );
    return {
      path: typeof at === 'string' ? at : `inode ${at}`,
      attr: found.attr,
      type: typeNames.get(found.attr.type) ?? '',
      target: found.target?.toString(),
      sums: await sumsAt(engine, found.attr, options),
      paths: (await new Paths(engine).ofNode(found.attr)).map(String),
      slices: found.chunks.flatMap(({ indx, slices }) =>
        slices.map((slice) => ({
          ...slice,
          chunk: indx,
          objects: slice.id === 0n ? [] : objectsOf(slice.id, slice.size),
        })),
      ),
    };
  });

async function sumsAt(engine: Engine, attr: Attr, options: InfoOptions): Promise<TreeSums> {
  if (attr.type !== NodeType.directory) return sumsOf(attr);
  if (options.recursive !== true) return engine.view(() => entrySums(attr.ino));
  const from = await sumsFrom(engine, options.strict === true);
  return engine.view(() => treeSums(attr.ino, from));
}

interface Found {
  readonly attr: Attr;
  readonly target: Buffer | undefined;
  readonly chunks: readonly { readonly indx: number; readonly slices: readonly Slice[] }[];
}

function* inspect(at: string | Ino): Op<Found> {
  const attr = yield* typeof at === 'string' ? walk(at) : byInode(at);
  const [targets, chunks] = yield* read(
    symlinkTarget(attr.ino),
    query('SELECT indx, BYTES(slices) FROM jfs_chunk WHERE inode = ? ORDER BY indx', [attr.ino], (row) => ({
      indx: numberAt(row, 0),
      slices: decodeSlices(bytesAt(row, 1), `chunk ${numberAt(row, 0)} of inode ${attr.ino}`),
    })),
  );
  return { attr, target: targets[0], chunks };
}

function* byInode(ino: Ino): Op<Attr> {
  const [attr] = (yield* read(nodeById(ino)))[0];
  if (attr === undefined) throw fail('not-found', `look up inode ${ino}: there is none`);
  return attr;
}
