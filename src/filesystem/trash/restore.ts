// Puts deleted entries back: out of an hour of the trash to the directory and the name that the entry names, never over
// what is there (spec 5.6, restore). Goes through an hour page by page, whatever its size.
import { FsError, fail, hasCode } from '../../base/errors.ts';
import { Lru } from '../../base/lru.ts';
import type { OnProgress } from '../../base/progress.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { Meta } from '../meta/meta.ts';
import { ancestors } from '../meta/namespace-statements.ts';
import { RENAME_NOREPLACE, RENAME_RESTORE } from '../meta/rename.ts';
import { parseTrashName, type TrashedName } from '../meta/trash.ts';
import { hourOf } from '../meta/trash-expiry.ts';
import { type Dirent, TRASH } from '../meta/types.ts';
import { joined, Paths } from '../paths.ts';
import { type Engine, read } from '../sql/op.ts';

/** Entries per look at an hour. */
const PAGE = 1000;
const MOST_FAILURES = 1000;
const KNOWN = 10_000;

const root: Caller = { uid: 0, gid: 0, pid: process.pid, umask: 0 };

export interface RestoreOptions {
  /** Back where it was. Otherwise only the tree is rebuilt inside the trash: what lay in a deleted directory. */
  readonly putBack: boolean;
  /** Renames at the same time. */
  readonly threads: number;
  /** Only what was at this path, or below it. */
  readonly path?: string;
  readonly progress?: OnProgress;
}

export interface Unrestored {
  /** Name in the trash. */
  readonly entry: string;
  readonly reason: string;
}

export interface Restored {
  readonly hour: string;
  readonly restored: number;
  /** Not asked for, or without putBack not part of a deleted directory. */
  readonly skipped: number;
  readonly failed: number;
  /** The first of those that failed; they are still in the trash. */
  readonly failures: readonly Unrestored[];
}

interface Volume {
  readonly engine: Engine;
  readonly meta: Pick<Meta, 'readdir' | 'rename' | 'lookup'>;
}

/** Fails when there is no such hour; an entry that cannot go back is told in the answer. */
export async function restoreHour(volume: Volume, hour: string, options: RestoreOptions): Promise<Restored> {
  const directory = await findHour(volume, hour);
  const work = new Restoring(volume, directory, options);
  let after: Buffer | undefined;
  do {
    const entries = await volume.meta.readdir(directory, after, PAGE, false);
    after = entries.at(-1)?.name;
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let entry = entries[next++]; entry !== undefined; entry = entries[next++]) await work.entry(entry);
    };
    await Promise.all(Array.from({ length: Math.max(1, options.threads) }, worker));
  } while (after !== undefined);
  return { hour, ...work.counts, failures: work.failures };
}

/** The directory of an hour, named as in the trash. */
export async function findHour({ meta }: Pick<Volume, 'meta'>, hour: string): Promise<Ino> {
  if (hourOf(Buffer.from(hour)) === undefined)
    throw fail('bad-input', `hour ${JSON.stringify(hour)}: wanted one like 2026-01-31-09 (UTC)`);
  try {
    return (await meta.lookup(root, TRASH, Buffer.from(hour))).ino;
  } catch (thrown) {
    if (!hasCode(thrown, 'ENOENT')) throw thrown;
    throw fail('not-found', `the trash has nothing of the hour ${hour}`, {
      hint: 'pageseal trash list META-URL shows the hours that it has',
    });
  }
}

class Restoring {
  readonly counts = { restored: 0, skipped: 0, failed: 0 };
  readonly failures: Unrestored[] = [];
  readonly #volume: Volume;
  readonly #hour: Ino;
  readonly #options: RestoreOptions;
  readonly #paths: Paths;
  readonly #wanted: Buffer | undefined;
  readonly #inHour = new Lru<Ino, boolean>(KNOWN);

  constructor(volume: Volume, hour: Ino, options: RestoreOptions) {
    this.#volume = volume;
    this.#hour = hour;
    this.#options = options;
    this.#paths = new Paths(volume.engine, { original: true });
    if (options.path !== undefined) this.#wanted = Buffer.from(`/${options.path.split('/').filter(Boolean).join('/')}`);
  }

  /** Never rejects for what is wrong with one entry. */
  async entry({ name }: Dirent): Promise<void> {
    const was = parseTrashName(name);
    if (was === undefined) return this.#fail(name, 'the name does not say where it was');
    try {
      if (!(await this.#isWanted(was))) {
        this.counts.skipped += 1;
        return;
      }
      const flags = RENAME_NOREPLACE | RENAME_RESTORE;
      await this.#volume.meta.rename(root, this.#hour, name, was.parent, was.name, flags);
      this.counts.restored += 1;
      this.#options.progress?.(this.counts.restored, undefined);
    } catch (thrown) {
      this.#fail(name, await this.#why(thrown, was));
    }
  }

  async #isWanted(was: TrashedName): Promise<boolean> {
    const wanted = this.#wanted;
    if (wanted !== undefined) {
      const directory = await this.#paths.ofDirectory(was.parent);
      if (directory === undefined) return false;
      const path = joined(directory, was.name);
      const below = wanted.length === 1 || path.subarray(0, wanted.length + 1).equals(Buffer.concat([wanted, SLASH]));
      if (!below && !path.equals(wanted)) return false;
    }
    return this.#options.putBack || this.#belongsHere(was.parent);
  }

  /** Whether the directory lies in this hour, perhaps in another one that was rebuilt there. */
  async #belongsHere(directory: Ino): Promise<boolean> {
    const known = this.#inHour.get(directory);
    if (known !== undefined) return known;
    const above = await this.#volume.engine.view(function* () {
      const [all] = yield* read(ancestors(directory));
      return all;
    });
    const here = above.includes(this.#hour);
    this.#inHour.set(directory, here);
    return here;
  }

  async #why(thrown: unknown, was: TrashedName): Promise<string> {
    const error = FsError.from(thrown);
    if (error.code === 'EEXIST') return 'the name is taken';
    if (error.code === 'ENOENT') return `its directory (inode ${was.parent}) is gone`;
    return error.message;
  }

  #fail(name: Buffer, reason: string): void {
    this.counts.failed += 1;
    if (this.failures.length < MOST_FAILURES) this.failures.push({ entry: name.toString(), reason });
  }
}

const SLASH = Buffer.from('/');
