// Open directories: opendir, readdir, readdirplus, releasedir, fsyncdir.
import { type DirectoryEntry, type Ino, NodeType } from '../../filesystem/vfs/vfs.ts';
import type { NodeIds } from '../nodes.ts';
import { Size } from '../protocol.ts';
import { direntType, Held, openBody, writeEntry } from '../reply.ts';
import type { KernelRequest } from '../request.ts';
import type { Context, Handler } from './handler.ts';

/** One reply's entries: some 700 with attributes. The kernel may offer room for more than is worth allocating. */
const MAX_LISTING = 131_072;

export const opendir: Handler = async ({ vfs, nodes }, request) => {
  const ino = nodes.toIno(request.node);
  const handle = await vfs.opendir(request, ino);
  return new Held(openBody({ handle, keepCache: false, directIo: false }), () => {
    vfs.releasedir(request, ino, handle).catch(() => undefined);
  });
};

/** Packs entries into the room the kernel gave. */
export class Listing {
  readonly #nodes: NodeIds;
  readonly #plus: boolean;
  readonly #out: Buffer;
  #used = 0;
  /** Inodes the kernel counts a lookup for. */
  readonly counted: Ino[] = [];

  constructor(nodes: NodeIds, plus: boolean, size: number) {
    this.#nodes = nodes;
    this.#plus = plus;
    this.#out = Buffer.allocUnsafe(Math.min(size, MAX_LISTING));
  }

  take(entry: DirectoryEntry): boolean {
    const out = this.#out;
    const { name } = entry;
    const fixed = (this.#plus ? Size.entryOut : 0) + Size.dirent;
    const end = this.#used + ((fixed + name.length + 7) & ~7);
    if (end > out.length) return false;
    let at = this.#used;
    if (this.#plus) {
      // Node 0: no attributes here, the kernel asks when it needs them.
      if (entry.entry === undefined || !this.#nodes.has(entry.ino)) out.fill(0, at, at + Size.entryOut);
      else {
        writeEntry(out, at, entry.entry, this.#nodes);
        this.counted.push(entry.entry.attr.ino);
      }
      at += Size.entryOut;
    }
    out.writeBigUInt64LE(this.#nodes.shown(entry.ino), at);
    out.writeBigUInt64LE(entry.nextOffset, at + 8);
    out.writeUInt32LE(name.length, at + 16);
    out.writeUInt32LE(direntType(entry.type ?? NodeType.file), at + 20);
    name.copy(out, at + Size.dirent);
    out.fill(0, at + Size.dirent + name.length, end);
    this.#used = end;
    return true;
  }

  get body(): Buffer {
    return this.#out.subarray(0, this.#used);
  }
}

async function list({ vfs, nodes }: Context, request: KernelRequest, plus: boolean): Promise<Held> {
  const ino = nodes.toIno(request.node);
  const listing = new Listing(nodes, plus, request.u32(16));
  await vfs.readdir(request, ino, request.u64(0), request.u64(8), plus, (entry) => listing.take(entry));
  return new Held(listing.body, () => {
    for (const counted of listing.counted) vfs.forget(counted, 1n);
  });
}

export const readdir: Handler = (context, request) => list(context, request, false);
export const readdirplus: Handler = (context, request) => list(context, request, true);

export const releasedir: Handler = async ({ vfs, nodes }, request) => {
  await vfs.releasedir(request, nodes.toIno(request.node), request.u64(0));
  return undefined;
};

export const fsyncdir: Handler = async ({ vfs, nodes }, request) => {
  await vfs.fsyncdir(request, nodes.toIno(request.node));
  return undefined;
};
