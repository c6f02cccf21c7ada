// The connections of one engine: few, opened when wanted, one user at a time, closed when idle.
import { fail } from '../../base/errors.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { connectToAny } from './postgres-hosts.ts';
import type { PostgresLocation } from './postgres-url.ts';

/** A server has about a hundred in all, for every worker of every node. */
const MAX_CONNECTIONS = 3;
/** Each costs the server a process of several MiB; a new one costs three or four round trips. */
const IDLE_MS = 60_000;

interface Waiter {
  readonly resolve: (connection: PostgresConnection) => void;
  readonly reject: (reason: unknown) => void;
}

export class PostgresPool {
  readonly #location: PostgresLocation;
  readonly #readOnly: boolean;
  /** The one used last is at the end and taken first, so that the others can go. */
  readonly #idle: { readonly connection: PostgresConnection; readonly since: number }[] = [];
  readonly #waiters: Waiter[] = [];
  #count = 0;
  #sweep: NodeJS.Timeout | undefined;
  #closed = false;
  #drained: (() => void) | undefined;

  constructor(location: PostgresLocation, readOnly: boolean) {
    this.#location = location;
    this.#readOnly = readOnly;
  }

  acquire(): Promise<PostgresConnection> {
    if (this.#closed)
      return Promise.reject(fail('metadata-unavailable', `use ${this.#location.description}: it is closed`));
    for (let last = this.#idle.pop(); last !== undefined; last = this.#idle.pop()) {
      if (last.connection.usable) return Promise.resolve(last.connection);
      this.#count -= 1;
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#open();
    });
  }

  /** Opens a connection for the waiters when there may be one more. */
  #open(): void {
    if (this.#count >= MAX_CONNECTIONS || this.#waiters.length === 0) return;
    this.#count += 1;
    connectToAny(this.#location, { readOnly: this.#readOnly, long: false }).then(
      (connection) => this.release(connection),
      (thrown: unknown) => {
        this.#count -= 1;
        // All of them: each would find the same, one after the other.
        for (const { reject } of this.#waiters.splice(0)) reject(thrown);
        this.#whenDrained();
      },
    );
  }

  /** Its transaction is over, or it is broken. */
  release(connection: PostgresConnection): void {
    if (!connection.usable || connection.worn) {
      void connection.close();
      this.#count -= 1;
      this.#open();
      this.#whenDrained();
      return;
    }
    const next = this.#waiters.shift();
    if (next !== undefined) {
      next.resolve(connection);
      return;
    }
    this.#idle.push({ connection, since: performance.now() });
    this.#sweep ??= setInterval(() => this.#closeIdle(), IDLE_MS).unref();
    this.#whenDrained();
  }

  #closeIdle(): void {
    const before = performance.now() - IDLE_MS;
    while (this.#idle[0] !== undefined && this.#idle[0].since < before) {
      void this.#idle.shift()?.connection.close();
      this.#count -= 1;
    }
    if (this.#idle.length > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #whenDrained(): void {
    if (this.#idle.length === this.#count) this.#drained?.();
  }

  /** After those that use one have given it back. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweep);
    if (this.#idle.length < this.#count)
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    this.#count = 0;
    await Promise.all(this.#idle.splice(0).map(({ connection }) => connection.close()));
  }
}
