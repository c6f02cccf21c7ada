// Clones a path of a volume through its metadata, for tools: needs no key, since no page is read.

import type { OnProgress } from '../base/progress.ts';
import type { Caller } from '../base/words.ts';
import type { Cloned } from './meta/clone.ts';
import { walk } from './paths.ts';
import type { StoreSettings } from './store/store.ts';
import { openKeyless } from './without-key.ts';

export interface ClonePathOptions {
  readonly metaUrl: string;
  /** Both from the root of the file system. */
  readonly source: string;
  readonly directory: string;
  /** Of the clone in that directory. */
  readonly name: string;
  readonly caller: Caller;
  /** Supplementary groups of the caller. */
  readonly groups?: readonly number[];
  /** Owner, mode and times stay. */
  readonly preserve: boolean;
  readonly store?: Partial<StoreSettings>;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

export async function clonePath(options: ClonePathOptions): Promise<Cloned> {
  const { metaUrl, source, directory, name, store, ...how } = options;
  const { engine, meta, close } = await openKeyless(metaUrl, store);
  try {
    const [from, into] = await Promise.all([source, directory].map((path) => engine.view(() => walk(path))));
    if (from === undefined || into === undefined) throw new Error('two paths were looked up');
    return await meta.clone({ ...how, source: from.ino, parent: into.ino, name: Buffer.from(name) });
  } finally {
    await close();
  }
}
