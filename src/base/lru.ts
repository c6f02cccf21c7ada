// A map that forgets what was used longest ago once the weights exceed a limit. Relies on Map keeping insertion order.

export class Lru<K, V> {
  readonly #limit: number;
  readonly #weigh: (value: V) => number;
  readonly #onEvict: ((key: K, value: V) => void) | undefined;
  readonly #entries = new Map<K, V>();
  #weight = 0;

  /** `weigh` must answer the same number for a value each time. */
  constructor(limit: number, weigh: (value: V) => number = () => 1, onEvict?: (key: K, value: V) => void) {
    this.#limit = limit;
    this.#weigh = weigh;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  get weight(): number {
    return this.#weight;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** A value heavier than the whole limit is not kept. */
  set(key: K, value: V): void {
    this.delete(key);
    const weight = this.#weigh(value);
    if (weight > this.#limit) return;
    this.#entries.set(key, value);
    this.#weight += weight;
    for (const [oldest, dropped] of this.#entries) {
      if (this.#weight <= this.#limit) break;
      this.delete(oldest);
      this.#onEvict?.(oldest, dropped);
    }
  }

  delete(key: K): boolean {
    const value = this.#entries.get(key);
    if (value === undefined) return false;
    this.#weight -= this.#weigh(value);
    return this.#entries.delete(key);
  }

  values(): IterableIterator<V> {
    return this.#entries.values();
  }

  clear(): void {
    this.#entries.clear();
    this.#weight = 0;
  }
}
