// What every metadata engine promises: run over each implementation by the tests beside.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fail, hasCode } from '../../src/base/errors.ts';
import {
  change,
  type Engine,
  must,
  type Op,
  query,
  type Reader,
  read,
  type Snapshot,
  type SqlValue,
  write,
} from '../../src/filesystem/sql/op.ts';

export interface Implementation {
  readonly name: string;
  /** A new, empty database; with the words of jfs_* and pageseal_* names unchanged or prefixed. */
  open(prefix: string): Promise<Engine>;
  /** Of the database that was opened last. */
  snapshot(prefix: string): Promise<Snapshot>;
  /** What its catalogue calls the tables of the database. */
  readonly tables: string;
  /** Its word for bytes in DDL. */
  readonly bytes: string;
  readonly needs?: { readonly skip?: string };
}

const insert = (id: bigint, value: SqlValue = null) =>
  change('INSERT INTO jfs_thing (id, value) VALUES (?, ?)', id, value);
const all = query('SELECT id, BYTES(value) FROM jfs_thing ORDER BY id', [], (row) => row);
const ids = (engine: Reader): Promise<SqlValue[]> =>
  engine.view(function* () {
    const [rows] = yield* read(all);
    return rows.map(([id]) => id as SqlValue);
  });

interface Given extends Implementation {
  /** An engine with an empty table of things. */
  withTable(prefix?: string): Promise<Engine>;
}

const promises: Readonly<Record<string, (given: Given) => Promise<void>>> = {
  'a snapshot shows one moment, and keeps nobody from writing': async ({ withTable, snapshot }) => {
    const engine = await withTable('p');
    await engine.run(function* () {
      yield* write(insert(1n));
    });
    const moment = await snapshot('p');
    for (const id of [2n, 3n]) {
      await engine.run(function* () {
        yield* write(insert(id));
      });
      assert.deepEqual(await ids(moment), [1n]);
    }
    assert.deepEqual(await ids(engine), [1n, 2n, 3n]);
    await assert.rejects(
      moment.view(function* () {
        yield* write(insert(4n));
      }),
      (error) => hasCode(error, 'internal'),
    );
    await moment.close();
    await moment.close();
    await engine.close();
  },
  'keeps 64-bit integers, bytes and texts as they are': async ({ withTable }) => {
    const engine = await withTable();
    const edges = [0n, 1n, -1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
    await engine.run(function* () {
      yield* write(...edges.map((id) => insert(id, Buffer.from([0, 0xff, 0x80, 0x27]))));
    });
    const sorted = [...edges].sort((a, b) => (a < b ? -1 : 1));
    assert.deepEqual(await ids(engine), sorted);
    const sums = await engine.view(function* () {
      const [rows] = yield* read(
        query('SELECT id + 1, BYTES(value) FROM jfs_thing WHERE id = ? FOR UPDATE', [2n ** 53n], (row) => row),
      );
      return rows[0];
    });
    assert.equal(sums?.[0], 2n ** 53n + 1n);
    assert.deepEqual(Buffer.from(sums?.[1] as Uint8Array), Buffer.from([0, 0xff, 0x80, 0x27]));
    await engine.close();
  },
  'appended bytes stay bytes': async ({ withTable }) => {
    const engine = await withTable();
    const append = (bytes: Buffer) =>
      change(
        'INSERT INTO jfs_thing (id, value) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET value = BYTES(BYTES(jfs_thing.value) || excluded.value)',
        1n,
        bytes,
      );
    for (const byte of [0, 0xff, 0xc3])
      await engine.run(function* () {
        yield* write(append(Buffer.from([byte])));
      });
    const rows = await engine.view(function* () {
      const [found] = yield* read(query('SELECT value FROM jfs_thing', [], (row) => row[0]));
      return found;
    });
    assert.ok(rows[0] instanceof Uint8Array, 'the stored value is bytes, not text');
    assert.deepEqual([...rows[0]], [0, 0xff, 0xc3]);
    await engine.close();
  },
  'a table prefix goes into every name': async ({ withTable, tables }) => {
    const engine = await withTable('team_1');
    await engine.run(() => write(insert(1n)));
    const rows = await engine.view(function* () {
      const [found] = yield* read(query(tables, [], (row) => row[0]));
      return found;
    });
    assert.deepEqual(rows, ['jfs_team_1_thing']);
    await engine.close();
  },
  'an operation that fails leaves nothing, its neighbours stay': async ({ withTable }) => {
    const engine = await withTable();
    await engine.run(() => write(insert(1n)));
    const failing = engine.run(function* (): Op<void> {
      yield* write(
        insert(2n),
        must(1, change('DELETE FROM jfs_thing WHERE id = 99'), () => fail('ENOENT', 'not there')),
      );
    });
    const clash = engine.run(() => write(insert(3n), insert(1n)));
    const three = engine.run(() => write(insert(4n)));
    await Promise.all([
      assert.rejects(failing, (thrown) => hasCode(thrown, 'ENOENT')),
      assert.rejects(clash, (thrown) => hasCode(thrown, 'metadata-damaged')),
      three,
    ]);
    assert.deepEqual(await ids(engine), [1n, 4n]);
    await engine.close();
  },
  'an operation sees what earlier ones wrote, and may end without writing': async ({ withTable }) => {
    const engine = await withTable();
    const count = query('SELECT COUNT(*) FROM jfs_thing', [], (row) => row[0] as bigint);
    const add = () =>
      engine.run(function* () {
        const [[n = 0n]] = yield* read(count);
        if (n >= 5n) return n;
        yield* write(insert(n));
        return n;
      });
    const counts = await Promise.all(Array.from({ length: 7 }, add));
    assert.deepEqual(counts.sort(), [0n, 1n, 2n, 3n, 4n, 5n, 5n]);
    await engine.close();
  },
  'a view of several flights is one view, and writes nothing': async ({ withTable }) => {
    const engine = await withTable();
    await engine.run(() => write(insert(1n)));
    let begun = 0;
    const seen = await engine.view(function* () {
      begun += 1;
      const [first] = yield* read(all);
      const [second, third] = yield* read(all, all);
      return [first.length, second.length, third.length];
    });
    assert.deepEqual(seen, [1, 1, 1]);
    assert.ok(begun <= 2);
    await assert.rejects(
      engine.view(function* () {
        yield* read(all);
        yield* write(insert(2n));
      }),
      (thrown) => hasCode(thrown, 'internal'),
    );
    assert.deepEqual(await ids(engine), [1n]);
    await engine.close();
  },
  'durable operations and sync resolve, also many at once': async ({ withTable }) => {
    const engine = await withTable();
    const writes = Array.from({ length: 50 }, (_, i) => engine.run(() => write(insert(BigInt(i))), { durable: true }));
    await Promise.all([...writes, engine.sync(), engine.sync()]);
    assert.equal((await ids(engine)).length, 50);
    await engine.close();
  },
  'closing finishes what was asked before, and refuses what comes after': async ({ withTable }) => {
    const engine = await withTable();
    const before = engine.run(() => write(insert(1n)));
    const closing = engine.close();
    await before;
    await closing;
    await engine.close();
    await assert.rejects(
      engine.run(() => write(insert(2n))),
      (thrown) => hasCode(thrown, 'metadata-unavailable'),
    );
    await assert.rejects(ids(engine), (thrown) => hasCode(thrown, 'metadata-unavailable'));
  },
};

export function engineContract(implementation: Implementation): void {
  const withTable = async (prefix = ''): Promise<Engine> => {
    const engine = await implementation.open(prefix);
    const table = `CREATE TABLE IF NOT EXISTS jfs_thing (id BIGINT PRIMARY KEY NOT NULL, value ${implementation.bytes});`;
    await engine.execute(table);
    await engine.execute(table);
    return engine;
  };
  suite(`engine ${implementation.name}`, implementation.needs ?? {}, () => {
    for (const [promise, check] of Object.entries(promises))
      test(promise, () => check({ withTable, ...implementation }));
  });
}
