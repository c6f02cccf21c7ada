// truncate, fallocate, lseek: what changes or asks for the shape of a file. The first two are barriers: everything written
// before is committed first, since slices paint in the order of their commits.
import { fail } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import { paint } from '../meta/overlap.ts';
import { chunkOf, offsetOf, posInChunk, smaller } from '../meta/position.ts';
import { type Attr, CHUNK_SIZE, MAX_LENGTH } from '../meta/types.ts';
import { type Core, changing, fileHandle, mayChange, settled } from './core.ts';
import type { OpenInode } from './inodes.ts';
import type { HandleId } from './vfs.ts';

/** Runs a change of an inode's contents in metadata behind all that was written before. */
async function reshape(core: Core, caller: Caller, ino: Ino, change: () => Promise<Attr>): Promise<Attr> {
  const inode = core.inodes.get(ino);
  if (inode === undefined) return change();
  await settled(core, caller, inode);
  return inode.order.run(async () => {
    const attr = await change();
    inode.adoptReshaped(attr);
    return attr;
  });
}

export async function truncate(core: Core, caller: Caller, ino: Ino, length: bigint): Promise<Attr> {
  mayChange(core, `truncate inode ${ino}`);
  if (length < 0n) throw fail('EINVAL', `truncate inode ${ino} to ${length} bytes`);
  if (length > MAX_LENGTH)
    throw fail('EFBIG', `truncate inode ${ino} to ${length}: longest file is ${MAX_LENGTH} bytes`);
  return changing(core, 'truncate', () => reshape(core, caller, ino, () => core.meta.truncate(caller, ino, length)));
}

export async function fallocate(
  core: Core,
  caller: Caller,
  ino: Ino,
  id: HandleId,
  mode: number,
  offset: bigint,
  size: bigint,
): Promise<void> {
  mayChange(core, `fallocate on inode ${ino}`);
  const handle = await fileHandle(core, caller, ino, id);
  if (!handle.writable) throw fail('EBADF', `fallocate on inode ${ino}: opened for reading only`);
  if (offset < 0n || size <= 0n) throw fail('EINVAL', `fallocate on inode ${ino}: ${size} bytes at ${offset}`);
  if (offset + size > MAX_LENGTH) throw fail('EFBIG', `fallocate on inode ${ino}: longest file is ${MAX_LENGTH} bytes`);
  await changing(core, 'fallocate', () =>
    reshape(core, caller, ino, () => core.meta.fallocate(caller, ino, mode, offset, size)),
  );
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** Chunk rows asked for: the next one will do. */
const INDEX_PAGE = 1;

export async function lseek(
  core: Core,
  caller: Caller,
  ino: Ino,
  id: HandleId,
  offset: bigint,
  whence: number,
): Promise<bigint> {
  const { inode } = await fileHandle(core, caller, ino, id);
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw fail('EINVAL', `lseek in inode ${ino}: whence ${whence}`);
  if (offset < 0n || offset >= inode.length) throw fail('ENXIO', `lseek in inode ${ino} from ${offset}: at the end`);
  const found = await seek(core, inode, offset, whence === SEEK_DATA);
  if (found !== undefined && found < inode.length) return found;
  if (whence === SEEK_DATA) throw fail('ENXIO', `lseek in inode ${ino} from ${offset}: no data until the end`);
  return inode.length;
}

/** First byte at or after `offset` that is data (or a hole). */
async function seek(core: Core, inode: OpenInode, offset: bigint, data: boolean): Promise<bigint | undefined> {
  let from = posInChunk(offset);
  for (let indx = chunkOf(offset); offsetOf(indx, 0) < inode.length; indx++, from = 0) {
    if (data) {
      const next = await nextChunk(core, inode, indx);
      if (next === undefined) return undefined;
      if (next > indx) from = 0;
      indx = next;
    }
    const found = await seekInChunk(inode, indx, from, data);
    if (found !== undefined) return offsetOf(indx, found);
  }
  return undefined;
}

/** The first chunk from `from` on that may hold data. */
async function nextChunk(core: Core, inode: OpenInode, from: number): Promise<number | undefined> {
  let dirty = Number.POSITIVE_INFINITY;
  for (const indx of inode.writer.chunks()) if (indx >= from && indx < dirty) dirty = indx;
  const [stored] = await core.meta.chunkIndexes(inode.ino, from, INDEX_PAGE);
  const next = Math.min(dirty, stored ?? Number.POSITIVE_INFINITY);
  return Number.isFinite(next) ? next : undefined;
}

async function seekInChunk(inode: OpenInode, indx: number, from: number, data: boolean): Promise<number | undefined> {
  const view = inode.views.get(indx) ?? (await inode.views.load(indx));
  const to = Number(smaller(BigInt(CHUNK_SIZE), inode.length - offsetOf(indx, 0)));
  let found: number | undefined;
  for (const segment of paint(inode.writer.layersOf(indx), from, to)) {
    if (found !== undefined) break;
    let at = segment.pos;
    if (segment.layer !== undefined) {
      if (data) found = at;
      continue;
    }
    view.visit(at, at + segment.len, (slice, _skip, len) => {
      if (found === undefined && (slice !== undefined) === data) found = at;
      at += len;
    });
  }
  return found;
}
