// Which failures a store tries again, and how often.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, fail } from '../../../src/base/errors.ts';
import { pauseMs } from '../../../src/base/retry.ts';
import { MemStore } from '../../../src/filesystem/store/mem-store.ts';
import { RetryingStore, storeRetry } from '../../../src/filesystem/store/retrying-store.ts';

class FailingStore extends MemStore {
  calls = 0;
  readonly #code: ErrorCode;
  readonly #times: number;

  constructor(code: ErrorCode, times: number) {
    super(`failing-${Math.random()}`);
    this.#code = code;
    this.#times = times;
  }

  override async put(key: string, parts: readonly Buffer[]): Promise<void> {
    if (++this.calls <= this.#times) throw fail(this.#code, 'put: as told');
    return super.put(key, parts);
  }
}

const quick = { ...storeRetry, baseMs: 1, capMs: 2 };

test('store-unavailable is tried again, up to a bound', async () => {
  const mended = new FailingStore('store-unavailable', 3);
  await new RetryingStore(mended, quick).put('a', [Buffer.from('x')]);
  assert.equal(mended.calls, 4);
  const broken = new FailingStore('store-unavailable', 100);
  await assert.rejects(new RetryingStore(broken, quick).put('a', []), { code: 'store-unavailable' });
  assert.equal(broken.calls, storeRetry.attempts);
});

test('a full store and a missing object are not', async () => {
  for (const code of ['store-full', 'object-missing', 'cancelled'] as const) {
    const store = new FailingStore(code, 100);
    await assert.rejects(new RetryingStore(store, quick).put('a', []), { code });
    assert.equal(store.calls, 1);
  }
});

test('a signal ends the wait', async () => {
  const store = new FailingStore('store-unavailable', 100);
  const slow = new RetryingStore(store, { ...storeRetry, baseMs: 1e6, capMs: 1e6 });
  const abort = new AbortController();
  const waiting = slow.put('a', [], abort.signal);
  setImmediate(() => abort.abort());
  await assert.rejects(waiting, { code: 'cancelled' });
});

test('pauses double between half and all of their base, up to the cap', () => {
  const policy = { ...storeRetry, baseMs: 100, capMs: 1000 };
  assert.equal(
    pauseMs(policy, 1, () => 0),
    50,
  );
  assert.equal(
    pauseMs(policy, 3, () => 1),
    400,
  );
  assert.equal(
    pauseMs(policy, 9, () => 1),
    1000,
  );
});
