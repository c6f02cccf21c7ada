// Lengths of time as scripts of the original client write them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from '../../src/config/duration.ts';

test('seconds, days and units', () => {
  const wanted = {
    '0': 0,
    '1': 1000,
    '1.5': 1500,
    '1.0s': 1000,
    '90s': 90_000,
    '250ms': 250,
    '1d12h': 129_600_000,
    '2m30s': 150_000,
  };
  for (const [text, ms] of Object.entries(wanted)) assert.equal(parseDuration(text), ms, text);
});

test('what is none', () => {
  for (const text of ['', '-1', '1x', 's', '1 s', '1s!', 'NaN', '1e9', '99999d', '1.s'])
    assert.equal(parseDuration(text), undefined, text);
});
