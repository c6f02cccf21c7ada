// Single queries of many views at once: those that wait for a connection go together in its next flight, each a statement
// and a transaction of its own. So with few connections a thousand lookups do not stand in line for a round trip each.
import type { Query } from './op.ts';
import type { Outcome } from './postgres-connection.ts';
import type { PostgresDialect } from './postgres-dialect.ts';
import { unsent } from './postgres-errors.ts';
import type { PostgresPool } from './postgres-pool.ts';
import { decodedRows, Failed, statementOf } from './postgres-transaction.ts';

/** A connection answers one after the other: more in one flight would keep the last ones waiting while others are idle. */
const MAX_TOGETHER = 16;

interface Asked {
  readonly query: Query<unknown>;
  readonly resolve: (rows: unknown[]) => void;
  readonly reject: (reason: unknown) => void;
}

export class Readings {
  readonly #pool: PostgresPool;
  readonly #dialect: PostgresDialect;
  #asked: Asked[] = [];
  #waiting = false;

  constructor(pool: PostgresPool, dialect: PostgresDialect) {
    this.#pool = pool;
    this.#dialect = dialect;
  }

  /** Decoded rows. Rejects as an attempt does: who asks tries again. */
  read(query: Query<unknown>): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ query, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#waiting || this.#asked.length === 0) return;
    this.#waiting = true;
    this.#fly().catch((thrown: unknown) => {
      this.#waiting = false;
      for (const { reject } of this.#asked.splice(0)) reject(thrown);
    });
  }

  async #fly(): Promise<void> {
    const connection = await this.#pool.acquire();
    this.#waiting = false;
    const together = this.#asked.splice(0, MAX_TOGETHER);
    this.#next();
    const flight = together.map(({ query }) => statementOf(this.#dialect, query, 'view'));
    const outcomes = await connection.fly(flight).finally(() => this.#pool.release(connection));
    for (const [i, asked] of together.entries()) settle(asked, outcomes[i]);
  }
}

function settle({ query, resolve, reject }: Asked, outcome: Outcome | undefined): void {
  try {
    if (outcome === undefined || 'trouble' in outcome) reject(new Failed(outcome?.trouble ?? unsent));
    else resolve(decodedRows(query, outcome.answer.rows));
  } catch (thrown) {
    reject(thrown);
  }
}
