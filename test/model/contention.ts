// Random operations of several clients on few names of few directories, all at once: what one finds another has just
// changed. No model says what each must answer; the rows at the end say whether all of them together made sense.
import { hasCode } from '../../src/base/errors.ts';
import type { Caller, SliceId } from '../../src/base/words.ts';
import { planCompaction } from '../../src/filesystem/meta/compaction-plan.ts';
import type { OpenedMeta } from '../../src/filesystem/meta/open-meta.ts';
import { setQuotaOp } from '../../src/filesystem/meta/set-quota.ts';
import { deleteDirQuota } from '../../src/filesystem/meta/statements.ts';
import { type Attr, type Ino, NodeType } from '../../src/filesystem/meta/types.ts';
import { change, type Engine, write } from '../../src/filesystem/sql/op.ts';
import type { Random } from './random.ts';

export const root: Caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };

const NAMES = ['a', 'b', 'c', 'd'].map((name) => Buffer.from(name));
/** Directories and files that are remembered, whether or not they are there still. */
const REMEMBERED = 12;
const MiB = 1 << 20;

/** What an operation may meet when others move things under it. */
const expected = [
  'ENOENT', 'EEXIST', 'ENOTEMPTY', 'ENOTDIR', 'EISDIR', 'EINVAL', 'EPERM', 'EDQUOT', 'ENOSPC', 'ENODATA', 'refused',
] as const; // biome-ignore format: a list

/** What all clients of a run share. */
export interface Arena {
  /** Beside the clients. */
  readonly engine: Engine;
  readonly directories: Ino[];
  readonly files: Ino[];
  /** How often each thing was done, by its name and how it ended. */
  readonly counts: Map<string, number>;
}

export class Contender {
  readonly #meta: OpenedMeta;
  readonly #arena: Arena;
  readonly #random: Random;

  constructor(meta: OpenedMeta, arena: Arena, random: Random) {
    this.#meta = meta;
    this.#arena = arena;
    this.#random = random;
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.step();
  }

  async step(): Promise<void> {
    const name = this.#random.weighted(
      Object.entries(this.#weights).map(([key, weight]) => [weight, key as keyof typeof this.actions] as const),
    );
    const count = (how: string): void => {
      const key = `${name} ${how}`;
      this.#arena.counts.set(key, (this.#arena.counts.get(key) ?? 0) + 1);
    };
    try {
      await this.actions[name]();
      count('done');
    } catch (thrown) {
      if (!hasCode(thrown, ...expected)) throw thrown;
      count((thrown as { code: string }).code);
    }
  }

  readonly #weights: Readonly<Record<keyof typeof this.actions, number>> = {
    create: 14, mkdir: 8, symlink: 3, link: 8, unlink: 14, rmdir: 9, rename: 18, exchange: 6, truncate: 4, punch: 2,
    write: 7, copy: 3, clone: 2, attribute: 3, owner: 3, keepOpen: 4, compact: 4, quota: 1, trash: 1,
  }; // biome-ignore format: a table reads better than a column

  readonly actions = {
    create: async () => {
      const { attr } = await this.#meta.create(root, this.#directory(), this.#name(), 0o644, this.#random.chance(0.5));
      this.#remember(this.#arena.files, attr);
    },
    mkdir: async () => {
      const attr = await this.#meta.mkdir(root, this.#directory(), this.#name(), 0o755);
      this.#remember(this.#arena.directories, attr);
    },
    symlink: async () => {
      await this.#meta.symlink(root, this.#directory(), this.#name(), Buffer.from('somewhere'));
    },
    link: async () => {
      await this.#meta.link(root, this.#file(), this.#directory(), this.#name());
    },
    unlink: () => this.#meta.unlink(root, this.#directory(), this.#name(), { skipTrash: this.#random.chance(0.3) }),
    rmdir: () => this.#meta.rmdir(root, this.#directory(), this.#name(), { skipTrash: this.#random.chance(0.3) }),
    rename: () => this.#rename(this.#random.pick([0, 0, 1])),
    exchange: () => this.#rename(2),
    truncate: async () => {
      await this.#meta.truncate(root, this.#file(), BigInt(this.#random.below(3 * MiB)));
    },
    punch: async () => {
      await this.#meta.fallocate(root, this.#file(), 3, BigInt(this.#random.below(MiB)), BigInt(MiB));
    },
    write: () => this.#write(),
    copy: async () => {
      const place = (ino: Ino) => ({ ino, offset: BigInt(this.#random.below(MiB)) });
      await this.#meta.copyRange(root, place(this.#file()), place(this.#file()), BigInt(MiB));
    },
    clone: async () => {
      const source = this.#random.chance(0.5) ? this.#directory() : this.#file();
      await this.#meta.clone({ caller: root, source, parent: this.#directory(), name: this.#name(), preserve: true });
    },
    attribute: async () => {
      const ino = this.#file();
      if (this.#random.chance(0.3)) await this.#meta.removexattr(root, ino, 'user.x');
      else await this.#meta.setxattr(root, ino, 'user.x', Buffer.from('value'), this.#random.below(3));
    },
    owner: async () => {
      const ino = this.#random.chance(0.5) ? this.#directory() : this.#file();
      await this.#meta.setattr(root, ino, { uid: this.#random.below(3), mode: 0o755 });
    },
    keepOpen: () => this.#keepOpen(),
    compact: async () => {
      await compact(this.#meta, this.#file(), 0);
    },
    quota: () => this.#quota(),
    trash: () => this.#trash(),
  };

  async #rename(flags: number): Promise<void> {
    const [from, to] = [this.#directory(), this.#directory()];
    await this.#meta.rename(root, from, this.#name(), to, this.#name(), flags);
  }

  async #write(): Promise<void> {
    const id = await this.#meta.newSliceId();
    const size = 1 + this.#random.below(MiB);
    const slice = { pos: this.#random.below(MiB), id, size, off: 0, len: size };
    const ino = this.#file();
    const commit = { indx: 0, slice, ledger: [], mtime: BigInt(Date.now()) * 1_000_000n };
    await this.#meta.commitSlices(root, ino, [commit]);
  }

  /** Its name may go meanwhile, its data may not. */
  async #keepOpen(): Promise<void> {
    const ino = this.#file();
    this.#meta.opened(ino);
    try {
      await this.step();
    } finally {
      await this.#meta.closed(ino);
    }
  }

  async #quota(): Promise<void> {
    const ino = this.#directory();
    const limits = { maxSpace: BigInt(this.#random.below(64)) * BigInt(MiB), maxInodes: 1000n };
    await this.#arena.engine.run(
      this.#random.chance(0.7)
        ? setQuotaOp(ino, limits)
        : function* () {
            yield* write(deleteDirQuota(ino));
          },
    );
  }

  /** Clients take it up with their next heartbeat. */
  async #trash(): Promise<void> {
    const [on, off] = ['"TrashDays": 1', '"TrashDays": 0'];
    const [from, to] = this.#random.chance(0.5) ? [on, off] : [off, on];
    await this.#arena.engine.run(function* () {
      yield* write(change("UPDATE jfs_setting SET value = REPLACE(value, ?, ?) WHERE name = 'format'", from, to));
    });
  }

  readonly #name = (): Buffer => this.#random.pick(NAMES);
  readonly #directory = (): Ino => this.#random.pick(this.#arena.directories);
  readonly #file = (): Ino => this.#random.pick(this.#arena.files);

  /** In the place of any but the first ones, which are always there. */
  #remember(list: Ino[], { ino, type }: Attr): void {
    if (type !== NodeType.directory && type !== NodeType.file) return;
    if (list.length < REMEMBERED) list.push(ino);
    else list[2 + this.#random.below(REMEMBERED - 2)] = ino;
  }
}

/** Pieces of slices that a compaction put together, by the slice it made of them. */
export type Made = Map<SliceId, readonly { readonly len: number; readonly id: SliceId; readonly off: number }[]>;

/** As a mount would, but for the bytes. */
export async function compact(meta: OpenedMeta, ino: Ino, indx: number, made?: Made): Promise<void> {
  const plan = planCompaction((await meta.readChunk(ino, indx)).slices);
  if (plan === undefined) return;
  const id = await meta.newSliceId();
  made?.set(
    id,
    plan.segments.map(({ len, layer, skip }) => ({ len, id: layer?.id ?? 0n, off: (layer?.off ?? 0) + skip })),
  );
  const replaced = await meta.replaceRecords({ ino, indx, plan, id, ledger: [] });
  if (replaced === undefined) await meta.abandonSlice({ id, size: plan.size });
  else await meta.removeReplaced(replaced);
}
