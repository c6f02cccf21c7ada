// Rows on their way into the database, some thousand in one transaction.
import type { Ino } from '../meta/types.ts';
import { type Change, type Engine, write } from '../sql/op.ts';
import type { LoadedAttr } from './fields.ts';

/** Changes in one transaction: enough that the commit costs little, few enough to keep in memory. */
const CHANGES = 2000;

/** What an inode turned out to be under its first name. */
export type KnownNode = Pick<LoadedAttr, 'type' | 'length'>;

export class Batch {
  readonly #engine: Engine;
  #changes: Change[] = [];
  /** Nodes that are not in the database yet. */
  readonly #pending = new Map<Ino, KnownNode>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** A node that was added and may not be seen in the database yet. */
  pendingNode(ino: Ino): KnownNode | undefined {
    return this.#pending.get(ino);
  }

  noteNode({ ino, type, length }: LoadedAttr): void {
    this.#pending.set(ino, { type, length });
  }

  async add(...changes: readonly Change[]): Promise<void> {
    this.#changes.push(...changes);
    if (this.#changes.length >= CHANGES) await this.flush();
  }

  async flush(): Promise<void> {
    const changes = this.#changes;
    this.#changes = [];
    if (changes.length > 0)
      await this.#engine.run(function* () {
        yield* write(...changes);
      });
    this.#pending.clear();
  }
}
