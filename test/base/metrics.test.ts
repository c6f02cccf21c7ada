// Counters and their text form.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counter, exposition } from '../../src/base/metrics.ts';

test('counts, by label and without, and says so in Prometheus’ format', async () => {
  counter('test_plain_total', 'Plain').inc();
  counter('test_plain_total', 'Plain').inc(2);
  counter('test_kinds_total', 'Kinds', { name: 'kind', value: 'a' }).inc();
  assert.equal(counter('test_kinds_total', 'Kinds', { name: 'kind', value: 'b' }).value, 0);
  const text = await exposition();
  assert.match(text, /# HELP test_plain_total Plain\n# TYPE test_plain_total counter\ntest_plain_total 3\n/);
  assert.match(text, /test_kinds_total\{kind="a"\} 1\n/);
  assert.match(text, /test_kinds_total\{kind="b"\} 0\n/);
});
