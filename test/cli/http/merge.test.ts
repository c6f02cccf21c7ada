// The counters of a keeper and its workers as one text: a scraper takes it, and no worker can say anything for another.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { merged } from '../../../src/cli/http/merge.ts';

const own = `# HELP a_bytes Memory
# TYPE a_bytes gauge
a_bytes 1000

# HELP none_total Nothing yet
# TYPE none_total counter
`;
const worker = (value: number): string => `# HELP a_bytes Memory
# TYPE a_bytes gauge
a_bytes ${value}

# HELP b_total Requests
# TYPE b_total counter
b_total{operation="read"} 1
b_total{operation="write"} 2.5e+21
`;

test('every name once, every sample with its volume', () => {
  const text = merged(own, [
    { volume: 'u/1', restarts: 2, said: worker(1) },
    { volume: 'u/2', restarts: 0, said: worker(2) },
    { volume: 'gone', restarts: 0, said: undefined },
  ]);
  assert.equal(
    text,
    `# HELP a_bytes Memory
# TYPE a_bytes gauge
a_bytes 1000
a_bytes{volume="u/1"} 1
a_bytes{volume="u/2"} 2
# HELP b_total Requests
# TYPE b_total counter
b_total{volume="u/1",operation="read"} 1
b_total{volume="u/1",operation="write"} 2.5e+21
b_total{volume="u/2",operation="read"} 1
b_total{volume="u/2",operation="write"} 2.5e+21
# HELP pageseal_volume_up Whether the volume's worker told its counters
# TYPE pageseal_volume_up gauge
pageseal_volume_up{volume="u/1"} 1
pageseal_volume_up{volume="u/2"} 1
pageseal_volume_up{volume="gone"} 0
# HELP pageseal_volume_worker_restarts_total Workers started anew
# TYPE pageseal_volume_worker_restarts_total counter
pageseal_volume_worker_restarts_total{volume="u/1"} 2
pageseal_volume_worker_restarts_total{volume="u/2"} 0
pageseal_volume_worker_restarts_total{volume="gone"} 0
`,
  );
});

test('no volume: the own counters alone', () => {
  assert.equal(merged(own, []), '# HELP a_bytes Memory\n# TYPE a_bytes gauge\na_bytes 1000\n');
});

test('a worker that lies does so about itself only', () => {
  const said = [
    'b_total{volume="other"} 1',
    'b_total{operation="x",volume="other"} 1',
    'pageseal_volume_up{operation="x"} 7',
    '# TYPE a_bytes counter',
    '# TYPE a_bytes histogram',
    'b_total{operation="a\\"} 1',
    'b_total 1 2 3',
    'b_total{} 1',
    'not a sample',
    'c_total NaN',
    'd_total 4',
    ...Array.from({ length: 5000 }, (_, i) => `e_total{n="${i}"} 1`),
  ].join('\n');
  const lines = merged(own, [{ volume: 'v', restarts: 0, said }]).split('\n');
  assert.ok(lines.length < 2100, `${lines.length} lines`);
  const rest = lines.filter((line) => !line.startsWith('e_total') && line !== '');
  assert.deepEqual(rest, [
    '# HELP a_bytes Memory',
    '# TYPE a_bytes gauge',
    'a_bytes 1000',
    'd_total{volume="v"} 4',
    "# HELP pageseal_volume_up Whether the volume's worker told its counters",
    '# TYPE pageseal_volume_up gauge',
    'pageseal_volume_up{volume="v"} 1',
    '# HELP pageseal_volume_worker_restarts_total Workers started anew',
    '# TYPE pageseal_volume_worker_restarts_total counter',
    'pageseal_volume_worker_restarts_total{volume="v"} 0',
  ]);
});

test('any text may be a volume’s handle', () => {
  const text = merged('', [{ volume: 'a"b\\c\nd', restarts: 0, said: 'x 1' }]);
  assert.match(text, /^x\{volume="a\\"b\\\\c\\nd"\} 1$/m);
});
