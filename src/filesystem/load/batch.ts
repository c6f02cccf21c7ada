// Rows on their way into the database, some thousand in one transaction.
import type { Ino, NodeType } from '../meta/types.ts';
import { type Change, type Engine, write } from '../sql/op.ts';

/** Changes in one transaction: enough that the commit costs little, few enough to keep in memory. */
const CHANGES = 2000;

export class Batch {
  readonly #engine: Engine;
  #changes: Change[] = [];
  /** Nodes that are not in the database yet. */
  readonly #pending = new Map<Ino, NodeType>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** A node that was added and may not be seen in the database yet. */
  pendingType(ino: Ino): NodeType | undefined {
    return this.#pending.get(ino);
  }

  noteNode(ino: Ino, type: NodeType): void {
    this.#pending.set(ino, type);
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
