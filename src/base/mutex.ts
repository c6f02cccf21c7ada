// One at a time, in order of arrival.
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  /** Runs `work` when everyone before has finished; their failures are theirs. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work, work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
