// The seed of a random run: PAGESEAL_SEED repeats one that went wrong.
import type { TestContext } from 'node:test';

export function seedOf(t: TestContext): number {
  const seed = Number(process.env['PAGESEAL_SEED'] ?? Date.now() % 1_000_000_007);
  t.diagnostic(`seed ${seed}`);
  return seed;
}
