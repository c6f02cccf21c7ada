// A process of its own for sqlite.e2e.test.ts: opens the database and writes rows in pairs until it is told to stop or
// killed. Prints each number whose commit was answered.
import { change, query, read, write } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';

const [url = '', writer = '', count = '0', durable = ''] = process.argv.slice(2);
const engine = await openEngine(url);
const WIDTH = 8;

async function add(n: bigint): Promise<void> {
  await engine.run(
    function* () {
      // A read and two writes, as operations are: the total must agree with the rows at any time.
      const [[total = 0n]] = yield* read(query('SELECT value FROM jfs_total', [], (row) => row[0] as bigint));
      yield* write(
        change('UPDATE jfs_total SET value = ?', total + 1n),
        change('INSERT INTO jfs_thing (writer, n) VALUES (?, ?)', BigInt(writer), n),
      );
    },
    { durable: durable === 'durable' },
  );
  process.stdout.write(`${n}\n`);
}

for (let n = 0; n < Number(count); n += WIDTH)
  await Promise.all(Array.from({ length: WIDTH }, (_, i) => add(BigInt(n + i))));
await engine.close();
