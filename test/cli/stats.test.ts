// What stats makes of two looks at a mount's counters.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMetrics } from '../../src/cli/mount/metrics.ts';
import { figuresOf } from '../../src/cli/stats.ts';

const look = (requests: number, seconds: number, hits: number, opened: number, gets: number) =>
  parseMetrics(`# HELP pageseal_fuse_requests_total Requests
# TYPE pageseal_fuse_requests_total counter
pageseal_fuse_requests_total{operation="read"} ${requests}
pageseal_fuse_requests_total{operation="getattr"} 1
pageseal_fuse_requests_seconds_total{operation="read"} ${seconds}
pageseal_cache_hits_total ${hits}
pageseal_pages_opened_total ${opened}
pageseal_store_requests_total{method="get"} ${gets}
pageseal_store_requests_total{method="put"} 1000
pageseal_process_resident_bytes 5.5e+7
`);

test('rates are of what was added, latencies of the requests in between', () => {
  const figures = figuresOf(look(10, 1, 0, 0, 0), look(30, 1.5, 3, 1, 8), 2);
  assert.equal(figures.operations, 10);
  assert.equal(figures.operationLatency, 25);
  assert.equal(figures.cacheHits, 0.75);
  assert.equal(figures.storeGets, 4);
  assert.equal(figures.storePuts, 0);
  assert.equal(figures.memoryBytes, 55_000_000);
});

test('a worker that was replaced counts anew, and no page needed is no hit rate', () => {
  const figures = figuresOf(look(1000, 9, 5, 5, 50), look(19, 0.1, 5, 5, 10), 1);
  assert.equal(figures.operations, 20);
  assert.equal(figures.storeGets, 10);
  assert.equal(figures.cacheHits, null);
});
