// Counters and their text form.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Registry } from 'prom-client';
import { counter, exposition, gauge, timer } from '../../src/base/metrics.ts';

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

test('timers count and sum up, gauges are asked when somebody looks', async () => {
  const made = timer('test_work', 'Work', { name: 'kind', value: 'a' });
  made.add(1500);
  made.add(500);
  let level = 1;
  gauge('test_level', 'Level', () => level);
  level = 7;
  const text = await exposition();
  assert.match(text, /test_work_total\{kind="a"\} 2\n/);
  assert.match(text, /test_work_seconds_total\{kind="a"\} 2\n/);
  assert.match(text, /# TYPE test_level gauge\ntest_level 7\n/);
  assert.match(text, /pageseal_process_resident_bytes \d+/);
});

test('to the letter what Prometheus’ library writes', async () => {
  const library = new Registry();
  const odd = 'a "quoted" \\ back\nslash';
  const numbers = [0, 1, 2.5, 1e21, 1.5e-7, 2 ** 53];
  for (const [i, value] of numbers.entries()) {
    counter(`same_${i}_total`, 'Numbers').inc(value);
    new Counter({ name: `same_${i}_total`, help: 'Numbers', registers: [library] }).inc(value);
    counter('same_labelled_total', 'Labelled', { name: 'kind', value: `${odd} ${i}` }).inc(value);
  }
  const labels = { name: 'same_labelled_total', help: 'Labelled', labelNames: ['kind'], registers: [library] };
  const labelled = new Counter(labels);
  for (const [i, value] of numbers.entries()) labelled.inc({ kind: `${odd} ${i}` }, value);
  gauge('same_level', 'Level', () => -3);
  new Gauge({ name: 'same_level', help: 'Level', registers: [library] }).set(-3);
  const families = (text: string): string[] =>
    text
      .trim()
      .split('\n\n')
      .filter((family) => family.startsWith('# HELP same_'))
      .sort();
  assert.deepEqual(families(await exposition()), families(await library.metrics()));
});
