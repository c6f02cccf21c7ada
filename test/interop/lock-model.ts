// What processes on several mounts may lock: flock and fcntl locks of one file, in plain maps.

export type LockKind = 'sh' | 'ex' | 'un';

/** Bytes that are told apart; the last stands for all behind it. */
export const LAST_BYTE = 40;

export class LockModel {
  readonly #whole = new Map<number, 'sh' | 'ex'>();
  readonly #bytes = new Map<number, ('sh' | 'ex' | undefined)[]>();

  /** Whether `who` gets it. `keeps`: who may not have more keeps what it had, which Linux takes away. */
  flock(who: number, kind: LockKind, keeps: boolean): boolean {
    const others = [...this.#whole].filter(([other]) => other !== who).map(([, held]) => held);
    const refused = kind === 'ex' ? others.length > 0 : kind === 'sh' && others.includes('ex');
    if (refused && keeps) return false;
    this.#whole.delete(who);
    if (!refused && kind !== 'un') this.#whole.set(who, kind);
    return !refused;
  }

  /** Whether `who` gets it, for bytes from `start`; a length of 0 is up to the end. */
  fcntl(who: number, kind: LockKind, start: number, length: number): boolean {
    if (!this.#isFree(who, kind, start, length)) return false;
    const own = this.#bytes.get(who) ?? new Array<undefined>(LAST_BYTE + 1).fill(undefined);
    this.#bytes.set(who, own);
    own.fill(kind === 'un' ? undefined : kind, start, length === 0 ? undefined : start + length);
    return true;
  }

  #isFree(who: number, kind: LockKind, start: number, length: number): boolean {
    const end = length === 0 ? LAST_BYTE + 1 : start + length;
    return [...this.#bytes].every(
      ([other, held]) =>
        other === who ||
        held.slice(start, end).every((one) => one === undefined || kind === 'un' || (one === 'sh' && kind === 'sh')),
    );
  }

  /** As F_GETLK asks: whether an exclusive lock of `who` could be had. */
  wouldGet(who: number, start: number, length: number): boolean {
    return this.#isFree(who, 'ex', start, length);
  }

  hasWhole(who: number): boolean {
    return this.#whole.has(who);
  }

  /** It closes the file, or dies. */
  gone(who: number): void {
    this.#whole.delete(who);
    this.#bytes.delete(who);
  }
}
