// Slice records: the 24 bytes of a chunk row and the 12 of a delslices row. Pure; big-endian and unsigned.
import { fail } from '../../base/errors.ts';
import { CHUNK_SIZE, type Slice, type SliceId } from './types.ts';

export const RECORD = 24;
const DELETED_RECORD = 12;

export function encodeSlices(slices: readonly Slice[]): Buffer {
  const bytes = Buffer.alloc(slices.length * RECORD);
  slices.forEach((slice, i) => {
    const at = i * RECORD;
    bytes.writeUInt32BE(slice.pos, at);
    bytes.writeBigUInt64BE(slice.id, at + 4);
    bytes.writeUInt32BE(slice.size, at + 12);
    bytes.writeUInt32BE(slice.off, at + 16);
    bytes.writeUInt32BE(slice.len, at + 20);
  });
  return bytes;
}

export const sameSlices = (a: readonly Slice[], b: readonly Slice[]): boolean =>
  encodeSlices(a).equals(encodeSlices(b));

/** A run of zeros; shrinking and punching append these, they never delete slices. */
export const hole = (pos: number, len: number): Slice => ({ pos, id: 0n, size: 0, off: 0, len });

export function decodeSlices(bytes: Buffer, what: string): Slice[] {
  if (bytes.length % RECORD !== 0)
    throw fail('metadata-damaged', `${what}: ${bytes.length} bytes, wanted records of ${RECORD}`);
  const slices: Slice[] = [];
  for (let at = 0; at < bytes.length; at += RECORD) {
    const slice = {
      pos: bytes.readUInt32BE(at),
      id: bytes.readBigUInt64BE(at + 4),
      size: bytes.readUInt32BE(at + 12),
      off: bytes.readUInt32BE(at + 16),
      len: bytes.readUInt32BE(at + 20),
    };
    slices.push(checked(slice, what));
  }
  return slices;
}

/** For holes size and off mean nothing: copy_file_range of the original client leaves an off there. */
function checked(slice: Slice, what: string): Slice {
  const { pos, id, size, off, len } = slice;
  const inside = pos + len <= CHUNK_SIZE && (id === 0n || (size >= 1 && size <= CHUNK_SIZE && off + len <= size));
  if (inside) return slice;
  throw fail(
    'metadata-damaged',
    `${what}: record of slice ${id} cannot be: pos ${pos} size ${size} off ${off} len ${len}`,
  );
}

export interface DeletedSlice {
  readonly id: SliceId;
  readonly size: number;
}

export function encodeDeletedSlices(slices: readonly DeletedSlice[]): Buffer {
  const bytes = Buffer.alloc(slices.length * DELETED_RECORD);
  slices.forEach(({ id, size }, i) => {
    bytes.writeBigUInt64BE(id, i * DELETED_RECORD);
    bytes.writeUInt32BE(size, i * DELETED_RECORD + 8);
  });
  return bytes;
}

export function decodeDeletedSlices(bytes: Buffer, what: string): DeletedSlice[] {
  if (bytes.length % DELETED_RECORD !== 0)
    throw fail('metadata-damaged', `${what}: ${bytes.length} bytes, wanted entries of ${DELETED_RECORD}`);
  const slices: DeletedSlice[] = [];
  for (let at = 0; at < bytes.length; at += DELETED_RECORD)
    slices.push({ id: bytes.readBigUInt64BE(at), size: bytes.readUInt32BE(at + 8) });
  return slices;
}
