// Live statistics of a mount while something happens on it.
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findSocket } from '../../src/cli/mount/metrics.ts';
import type { StatsFigures } from '../../src/cli/stats.ts';
import { makeCalls } from '../harness/calls.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const BYTES = 300_000;

test('statistics of a mount', needs('root', 'fuse', 'python3', 'the addon'), async (t) => {
  const temp = makeTemp(t);
  const pageseal = new Pageseal(temp);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  const mounted = temp.folder('mnt');
  await pageseal.format(metaUrl, 'counted', temp.at('objects'));
  await pageseal.mount(metaUrl, mounted);
  const socket = findSocket(mounted);
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  assert.equal(statSync(join(socket, '..')).mode & 0o777, 0o700);

  let over = false;
  const watching = pageseal.ok(['stats', mounted, '--json', '--interval', '0.5', '--count', '6']).finally(() => {
    over = true;
  });
  const file = join(mounted, 'f');
  for (let i = 1; !over && i < 500; i++)
    await makeCalls([
      ['write', file, 0, (i % 255) + 1, BYTES],
      ['close', file],
      ['read', file, 0, BYTES],
      ['close', file],
    ]);
  const lines = (await watching)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as StatsFigures);
  assert.equal(lines.length, 6);
  const seen = (what: (figures: StatsFigures) => number): boolean => lines.some((line) => what(line) > 0);
  assert.ok(seen(({ operations }) => operations) && seen(({ operationLatency }) => operationLatency));
  assert.ok(seen(({ writtenBytes }) => writtenBytes) && seen(({ storeWrittenBytes }) => storeWrittenBytes));
  assert.ok(seen(({ transactions }) => transactions) && seen(({ storePuts }) => storePuts));
  for (const { memoryBytes } of lines) assert.ok(memoryBytes > 10_000_000);
  assert.match(await pageseal.ok(['stats', mounted, '-n', '1', '--interval', '0.1']), /fuse.*meta.*cache.*object/);

  const refused = await pageseal.run(['stats', temp.at('objects')]);
  assert.match(refused.stderr, /not on a mount of Pageseal/);
  assert.notEqual((await pageseal.run(['stats', mounted, '--interval', 'soon'])).code, 0);
  await pageseal.umount(mounted);
  assert.ok(!existing(socket));
});

const existing = (path: string): boolean => {
  try {
    return readdirSync(join(path, '..')).some((name) => path.endsWith(name));
  } catch {
    return false;
  }
};
