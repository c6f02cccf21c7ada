// A pod that works on its volume without a pause and checks everything: it says a line per round, and ends at the first call
// that fails or answers something else than what was written.
import assert from 'node:assert/strict';
import { until } from '../harness/program.ts';
import type { Kubectl } from './harness/kubectl.ts';
import { DATA } from './harness/objects.ts';

/**
 * `told N` is a copy that was told of a failure: allowed only where a worker died with what it had acknowledged and not
 * committed. What was copied is then copied again.
 */
export const writerScript = `
set -u
fail() { echo "FAILED in round $n: $1"; exit 1; }
n=0 told=0
while :; do
  n=$((n + 1)) name=${DATA}/file.$((n % 16))
  head -c 60000 /dev/urandom > /tmp/new
  until cp /tmp/new $name.new 2> /tmp/said; do
    told=$((told + 1)); echo "told $told: $(cat /tmp/said)"; [ $told -lt 50 ] || fail copy
  done
  mv $name.new $name || fail rename
  cmp /tmp/new $name || fail contents
  mkdir -p ${DATA}/folder.$n && rmdir ${DATA}/folder.$n || fail folders
  [ "$(ls ${DATA} | grep -c '^file')" -gt 0 ] || fail listing
  echo "round $n told $told"
done`;

/** A keeper that comes back waits for its image, its plugin and its workers. */
const BOUND_MS = 150_000;

export class Writer {
  readonly #kubectl: Kubectl;
  readonly name: string;

  constructor(kubectl: Kubectl, name: string) {
    this.#kubectl = kubectl;
    this.name = name;
  }

  /** Of its last line: it says all of it each time, and nothing after a failure. */
  async #last(): Promise<{ readonly rounds: number; readonly told: number }> {
    const lines = (await this.#kubectl.ok(['logs', this.name, '--tail=3'])).trimEnd().split('\n');
    const failed = lines.find((line) => line.startsWith('FAILED'));
    assert.equal(failed, undefined, lines.join('\n'));
    const [, rounds, told] = /^round (\d+) told (\d+)$/m.exec(lines.toReversed().join('\n')) ?? [];
    return { rounds: Number(rounds ?? 0), told: Number(told ?? 0) };
  }

  /** How many copies were told of a failure so far. */
  async told(): Promise<number> {
    return (await this.#last()).told;
  }

  /** Goes on working: some more rounds end. */
  async goesOn(more = 5): Promise<void> {
    const { rounds } = await this.#last();
    await until(
      `${this.name} to do ${more} more rounds`,
      async () => (await this.#last()).rounds >= rounds + more,
      BOUND_MS,
    );
  }
}
