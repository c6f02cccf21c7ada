// Random orders that fit what the model has: mostly possible, sometimes not, of every kind.
import type { Order, OrderName, OrderOf } from './orders.ts';
import type { PosixModel } from './posix-model.ts';
import type { PosixNode } from './posix-node.ts';
import type { Random } from './random.ts';

export interface GeneratorOptions {
  /** Number of mounts. */
  readonly mounts: number;
  /** Only the mount whose turn it is; what another one holds is left alone. */
  readonly turns?: boolean;
  /** Orders that are for the first mount only: what another one is known to do wrong. */
  readonly firstOnly?: (order: Order, model: PosixModel) => boolean;
  /** Mounts that do not see what others write to a file that they have open: such files are left to them. */
  readonly readingOn?: readonly number[];
  /** Orders that these mounts cannot be given. */
  readonly without?: readonly OrderName[];
  /** Everything happens below this directory. */
  readonly below?: string;
}

const NAMES = [
  'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', '\xc3\xa4\xe2\x82\xac', '\xff\xfe', ' ', '-n', '\n', 'x'.repeat(255),
]; // biome-ignore format: a table reads better than a column
const TOO_LONG = 'y'.repeat(256);
const DEPTH = 4;
const MANY = 120;
const CHUNK = 67_108_864;
/** A file may be longer only if no other is. */
const LONG = 1_000_000;
const LENGTHS = [0, 1, 100, 4096, 65_536, 70_000, 200_000];
const SLOTS = 4;
const XATTRS = ['user.a', 'user.b', 'trusted.c'];

/** Whose data or name an order touches; while another mount holds it, only that mount may. */
const TOUCHING_NAMES: ReadonlySet<OrderName> = new Set(['unlink', 'rename']);

export class Generator {
  readonly #random: Random;
  readonly #model: PosixModel;
  readonly #options: GeneratorOptions;
  #serial = 0;
  #nodes: [string, PosixNode][] = [];

  constructor(random: Random, model: PosixModel, options: GeneratorOptions) {
    this.#random = random;
    this.#model = model;
    this.#options = options;
  }

  /** `m`: the mount to use where the order leaves a choice. */
  next(m: number): Order {
    const top = this.#options.below ?? '';
    const start = this.#model.find(top);
    if (start === undefined) throw new Error(`no ${top}`);
    for (;;) {
      this.#nodes = this.#model.walk(start, top);
      const order = this.#order(m);
      const placed = order && this.#placed(order, m);
      if (placed !== undefined) return placed;
    }
  }

  #order(m: number): Order | undefined {
    const random = this.#random;
    const crowded = this.#nodes.length > MANY;
    const op = random.weighted<OrderName>([
      [crowded ? 1 : 8, 'create'], [crowded ? 1 : 5, 'mkdir'], [10, 'write'], [5, 'append'], [5, 'read'], [2, 'mapped'],
      [4, 'truncate'], [4, 'fallocate'], [2, 'copy'], [1, 'mknod'], [2, 'symlink'], [3, 'link'], [8, 'rename'],
      [crowded ? 20 : 4, 'unlink'], [crowded ? 8 : 2, 'rmdir'], [2, 'chmod'], [2, 'chown'], [2, 'utimens'],
      [3, 'setxattr'], [2, 'getxattr'], [1, 'removexattr'], [5, 'stat'], [1, 'readlink'], [3, 'readdir'],
      [2, 'hold'], [6, 'heldWrite'], [4, 'heldRead'], [1, 'heldMapped'], [3, 'heldStat'], [1, 'heldTruncate'], [1, 'heldSync'], [1, 'heldChmod'], [2, 'drop'],
    ]); // biome-ignore format: a table reads better than a column
    if (this.#options.without?.includes(op)) return undefined;
    const make = this.#makers[op] as (m: number) => object | undefined;
    const made = make(m);
    return made === undefined ? undefined : ({ m, op, ...made } as Order);
  }

  /** On the mount that may; `undefined` if there is none, or if it is not its turn. */
  #placed(wanted: Order, turn: number): Order | undefined {
    const order = wanted.op === 'drop' || wanted.op.startsWith('held') ? wanted : this.#whereHeld(wanted);
    return this.#options.turns && order?.m !== turn ? undefined : order;
  }

  #whereHeld(order: Order): Order | undefined {
    const paths = ['p' in order ? order.p : '', 'q' in order ? order.q : ''];
    const nodes = paths.flatMap((path) => this.#model.find(path) ?? []);
    const needed = new Set<number>();
    for (const { node, how, m } of this.#model.slots.values()) {
      const alone = how !== 'r' || TOUCHING_NAMES.has(order.op) || this.#options.readingOn?.includes(m) === true;
      if (nodes.includes(node) && alone) needed.add(m);
    }
    if (order.op === 'hold' && order.how !== 'r')
      for (const { node, m } of this.#model.slots.values()) if (nodes.includes(node)) needed.add(m);
    if (this.#options.firstOnly?.(order, this.#model)) needed.add(0);
    if (needed.size > 1) return undefined;
    const [m = order.m] = needed;
    return { ...order, m };
  }

  #directory(): string {
    const random = this.#random;
    const of = this.#nodes.filter(([, node]) => node.kind === 'directory' || random.chance(0.01));
    const [path] = random.pick(of);
    return path;
  }

  #path(): string {
    const random = this.#random;
    for (;;) {
      const directory = this.#directory();
      if (directory.split('/').length > DEPTH) continue;
      const name = random.chance(0.01) ? TOO_LONG : random.pick(NAMES);
      return directory === '' ? name : `${directory}/${name}`;
    }
  }

  /** Mostly something that exists, of that kind, but never a special file to be opened. */
  #existing(wanted?: (node: PosixNode) => boolean): string {
    const random = this.#random;
    const fitting = this.#nodes.filter(([path, node]) => path !== this.#top && (wanted?.(node) ?? true));
    return fitting.length > 0 && random.chance(0.93) ? random.pick(fitting)[0] : this.#path();
  }

  get #top(): string {
    return this.#options.below ?? '';
  }

  /** A path to open: what is special there is left alone. */
  #openable(): string | undefined {
    const path = this.#existing((node) => node.kind === 'file');
    const kind = this.#model.find(path)?.kind;
    return kind === undefined || kind === 'file' || kind === 'directory' || kind === 'symlink' ? path : undefined;
  }

  #seed(): string {
    return this.#random.chance(0.1) ? '' : `${++this.#serial}`;
  }

  #length(path: string): number {
    return this.#model.find(path)?.content.length ?? 0;
  }

  #offset(length: number): number {
    const random = this.#random;
    if (random.chance(0.02) && !this.#nodes.some(([, { content }]) => content.length > LONG))
      return CHUNK - random.below(1000);
    return random.below(Math.min(length, LONG) + (random.chance(0.3) ? 100_000 : 1));
  }

  #bytes(path: string) {
    return { at: this.#offset(this.#length(path)), len: this.#random.pick(LENGTHS), seed: this.#seed() };
  }

  #mode(): number {
    return this.#random.pick([0o644, 0o600, 0o755, 0o777, 0o4755, 0o2755, 0o2644, 0o1777, 0o6711, 0]);
  }

  #slot(): number | undefined {
    const slots = [...this.#model.slots.keys()];
    return slots.length === 0 ? undefined : this.#random.pick(slots);
  }

  /** With the mount of the slot. */
  #held<T extends object>(make: (node: PosixNode, how: 'r' | 'w' | 'a') => T): object | undefined {
    const slot = this.#slot();
    const held = slot === undefined ? undefined : this.#model.slots.get(slot);
    return held && { slot, ...make(held.node, held.how), m: held.m };
  }

  #heldForWriting<T extends object>(make: (node: PosixNode, how: 'w' | 'a') => T): object | undefined {
    const slot = this.#slot();
    const held = slot === undefined ? undefined : this.#model.slots.get(slot);
    return held === undefined || held.how === 'r' ? undefined : { slot, ...make(held.node, held.how), m: held.m };
  }

  #range(node: PosixNode): { at: number; len: number } {
    return { at: this.#random.below(Math.min(node.content.length, LONG) + 1), len: this.#random.pick(LENGTHS) };
  }

  #opening<T extends object>(make: (p: string) => T): (T & { p: string }) | undefined {
    const p = this.#openable();
    return p === undefined ? undefined : { p, ...make(p) };
  }

  readonly #makers: { readonly [K in OrderName]: (m: number) => Partial<OrderOf<K>> | undefined } = {
    create: () => {
      const p = this.#path();
      const kind = this.#model.find(p)?.kind;
      const special = kind !== undefined && kind !== 'file' && kind !== 'directory' && kind !== 'symlink';
      return { p, mode: this.#mode() & 0o777, exclusive: special || this.#random.chance(0.5) };
    },
    write: () => this.#opening((p) => ({ ...this.#bytes(p), truncate: this.#random.chance(0.15) })),
    append: () => this.#opening(() => ({ len: this.#random.pick(LENGTHS), seed: this.#seed() })),
    read: () => this.#opening((p) => ({ at: this.#offset(this.#length(p)), len: this.#random.pick(LENGTHS) })),
    mapped: () => {
      const p = this.#openable();
      const node = p === undefined ? undefined : this.#model.find(p);
      if (p === undefined || node?.kind !== 'file' || node.content.length > LONG) return undefined;
      return {
        p,
        at: this.#random.below(node.content.length + 1),
        len: this.#random.pick(LENGTHS),
        seed: this.#seed(),
      };
    },
    truncate: () =>
      this.#opening((p) => ({ len: this.#random.chance(0.1) ? this.#length(p) : this.#offset(this.#length(p)) })),
    fallocate: () =>
      this.#opening((p) => ({
        mode: this.#random.pick([0, 1, 3, 3, 0x10, 0x11]),
        at: this.#offset(this.#length(p)),
        len: 1 + this.#random.below(150_000),
      })),
    copy: () => {
      const [p, q] = [this.#openable(), this.#openable()];
      if (p === undefined || q === undefined) return undefined;
      const source = this.#model.find(q);
      if (source === this.#model.find(p) || source?.kind !== 'file' || this.#model.find(p)?.kind !== 'file')
        return undefined;
      return {
        p,
        q,
        at: this.#offset(source.content.length),
        to: this.#offset(this.#length(p)),
        len: this.#random.pick(LENGTHS),
      };
    },
    mkdir: () => ({ p: this.#path(), mode: this.#mode() & 0o1777 }),
    mknod: () => ({
      p: this.#path(),
      kind: this.#random.pick(['fifo', 'socket', 'char', 'block'] as const),
      mode: this.#mode() & 0o777,
      rdev: this.#random.pick([0x103, 0x800, 0x1200345]),
    }),
    symlink: () => ({ p: this.#path(), target: `none/${this.#random.pick(NAMES)}` }),
    link: () => ({ p: this.#existing((node) => node.kind !== 'directory'), q: this.#path() }),
    rename: () => ({
      p: this.#existing(),
      q: this.#random.chance(0.5) ? this.#path() : this.#existing(),
      flags: this.#random.pick([0, 0, 0, 0, 1, 2, 2, 3]),
    }),
    unlink: () => ({ p: this.#existing((node) => node.kind !== 'directory') }),
    rmdir: () => ({ p: this.#existing((node) => node.kind === 'directory') }),
    chmod: () => ({ p: this.#existing(), mode: this.#mode() }),
    chown: () => ({ p: this.#existing(), uid: this.#random.below(3) * 1000, gid: this.#random.below(3) * 1000 }),
    utimens: () => ({
      p: this.#existing(),
      atime: this.#random.pick(['0', '1234567890123456789', '999999999', '4102444800000000001']),
      mtime: this.#random.pick(['1', '1600000000000000007', '1700000000987654321']),
    }),
    setxattr: () => ({
      p: this.#existing(),
      name: this.#random.pick(XATTRS),
      value: 'v'.repeat(this.#random.pick([0, 1, 300, 2000])),
      flags: this.#random.pick([0, 0, 1, 2]),
    }),
    getxattr: () => ({ p: this.#existing(), name: this.#random.pick(XATTRS) }),
    removexattr: () => ({ p: this.#existing(), name: this.#random.pick(XATTRS) }),
    stat: () => ({ p: this.#existing() }),
    readlink: () => ({ p: this.#existing((node) => node.kind === 'symlink') }),
    readdir: () => ({ p: this.#existing((node) => node.kind === 'directory') }),
    hold: () => {
      const free = Array.from({ length: SLOTS }, (_, i) => i).find((slot) => !this.#model.slots.has(slot));
      const p = this.#openable();
      if (free === undefined || p === undefined || this.#model.find(p)?.kind !== 'file') return undefined;
      return { p, slot: free, how: this.#random.pick(['r', 'w', 'a'] as const) };
    },
    heldWrite: () =>
      this.#heldForWriting(({ content }, how) => ({
        how,
        at: this.#offset(content.length),
        len: this.#random.pick(LENGTHS),
        seed: this.#seed(),
      })),
    heldRead: () => this.#held((node) => this.#range(node)),
    heldMapped: () => this.#held(() => ({})),
    heldStat: () => this.#held(() => ({})),
    heldTruncate: () => this.#heldForWriting(({ content }) => ({ len: this.#offset(content.length) })),
    heldChmod: () => this.#heldForWriting(() => ({ mode: this.#mode() })),
    heldSync: () => this.#heldForWriting(() => ({})),
    drop: () => this.#held(() => ({})),
  };
}
