// What a tree holds, directory by directory, the biggest entries first. Memory is bounded by what is shown, however many
// entries a directory has.
import { fail } from '../base/errors.ts';
import type { OnProgress } from '../base/progress.ts';
import type { Ino } from '../base/words.ts';
import { readSetting } from './meta/read-setting.ts';
import { readdirOp } from './meta/readdir.ts';
import { hasOurTables } from './meta/schema.ts';
import { noSums, plusSums, type SumsFrom, sumsOf, type TreeSums, treeSums } from './meta/tree-sums.ts';
import { type Attr, NodeType } from './meta/types.ts';
import { walk } from './paths.ts';
import type { Engine } from './sql/op.ts';
import { openEngine } from './sql/open-engine.ts';

/** Entries per look at a directory. */
const PAGE = 1000;

export interface SummaryOptions {
  /** Levels below the path that are shown. */
  readonly depth: number;
  /** Entries of each directory that are shown. */
  readonly entries: number;
  /** Count every entry instead of taking the sums that are kept per directory. */
  readonly strict: boolean;
  readonly progress?: OnProgress;
}

export interface Summary extends TreeSums {
  readonly name: string;
  readonly ino: Ino;
  readonly isDirectory: boolean;
  /** The biggest first; empty at the last level. */
  readonly children: readonly Summary[];
  /** Entries that are not among the children, together; undefined when all are. */
  readonly rest: TreeSums | undefined;
}

/** `path` is from the root of the file system. */
export async function readSummary(metaUrl: string, path: string, options: SummaryOptions): Promise<Summary> {
  const engine = await openEngine(metaUrl, { readOnly: true });
  try {
    const from = await sumsFrom(engine, options.strict);
    const attr = await engine.view(() => walk(path));
    const work = new Summing(engine, options, from);
    return await work.entry({ name: '/', attr, sums: await work.sums(attr) }, options.depth);
  } finally {
    await engine.close();
  }
}

/** Where no sums are kept per directory there is no fast way. */
export async function sumsFrom(engine: Engine, strict: boolean): Promise<SumsFrom> {
  const { setting } = await readSetting(engine);
  return { strict: strict || !setting.dirStats, ours: await hasOurTables(engine) };
}

interface Entry {
  readonly name: string;
  readonly attr: Attr;
  readonly sums: TreeSums;
}

class Summing {
  readonly #engine: Engine;
  readonly #options: SummaryOptions;
  readonly #from: SumsFrom;
  #looked = 0;

  constructor(engine: Engine, options: SummaryOptions, from: SumsFrom) {
    if (options.depth < 0 || options.entries < 0)
      throw fail('bad-input', 'summary: depth and entries cannot be negative');
    this.#engine = engine;
    this.#options = options;
    this.#from = from;
  }

  async sums(attr: Attr): Promise<TreeSums> {
    if (attr.type !== NodeType.directory) return sumsOf(attr);
    return this.#engine.view(() => treeSums(attr.ino, this.#from));
  }

  async entry({ name, attr, sums }: Entry, depth: number): Promise<Summary> {
    const shown = { name, ino: attr.ino, isDirectory: attr.type === NodeType.directory };
    if (!shown.isDirectory || depth === 0) return { ...shown, ...sums, children: [], rest: undefined };
    const { all, biggest, rest } = await this.#children(attr.ino);
    const children: Summary[] = [];
    for (const child of biggest) children.push(await this.entry(child, depth - 1));
    return { ...shown, ...plusSums(sumsOf(attr), all), children, rest };
  }

  /** Everything below a directory, and its biggest entries: those of the same size in the order of their names. */
  async #children(ino: Ino): Promise<{ all: TreeSums; biggest: readonly Entry[]; rest: TreeSums | undefined }> {
    let all = noSums;
    let rest: TreeSums | undefined;
    const biggest: Entry[] = [];
    let after: Buffer | undefined;
    do {
      const page = await this.#engine.view(readdirOp(ino, after, PAGE, true));
      for (const { name, attr } of page) {
        if (attr === undefined) continue;
        const sums = await this.sums(attr);
        all = plusSums(all, sums);
        const place = biggest.findIndex((one) => one.sums.size < sums.size);
        biggest.splice(place < 0 ? biggest.length : place, 0, { name: name.toString(), attr, sums });
        const out = biggest.length > this.#options.entries ? biggest.pop() : undefined;
        if (out !== undefined) rest = plusSums(rest ?? noSums, out.sums);
      }
      this.#looked += page.length;
      this.#options.progress?.(this.#looked, undefined);
      after = page.at(-1)?.name;
    } while (after !== undefined);
    return { all, biggest, rest };
  }
}
