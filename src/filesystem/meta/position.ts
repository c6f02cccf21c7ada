// Places in a file. As a whole they have 57 bits and are bigint; everything behind the borders works on a chunk's index and
// a position in that chunk, which numbers hold exactly.
import { CHUNK_SIZE } from './types.ts';

const CHUNK_BITS = BigInt(Math.log2(CHUNK_SIZE));
const IN_CHUNK = BigInt(CHUNK_SIZE - 1);

export const chunkOf = (offset: bigint): number => Number(offset >> CHUNK_BITS);

export const posInChunk = (offset: bigint): number => Number(offset & IN_CHUNK);

export const offsetOf = (indx: number, pos: number): bigint => (BigInt(indx) << CHUNK_BITS) + BigInt(pos);

export const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

export const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
