// What a PostgreSQL server and the way to it can do to an operation, with a real server and with connections that break at
// a given moment: an operation happens once or not at all, and its caller knows which.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { fail, hasCode } from '../../../src/base/errors.ts';
import { type Change, change, type Engine, must, type Op, query, read, write } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { PostgresServer } from '../../harness/postgres.ts';
import { TcpProxy } from '../../harness/tcp-proxy.ts';
import { makeTemp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';
import { CuttingProxy } from './cutting-proxy.ts';

const temp = makeTemp();
const tools = needs('postgres', 'openssl');
let server: PostgresServer;
let databases = 0;

before(async () => {
  if (tools.skip === undefined) server = await PostgresServer.start(temp, { tls: 'offered' });
});

const TABLE =
  'CREATE TABLE jfs_thing (id BIGINT PRIMARY KEY NOT NULL, value BIGINT NOT NULL, small INTEGER); INSERT INTO jfs_thing VALUES (1, 0, 0), (2, 0, 0);';
const value = (id: bigint, lock = false) =>
  query(`SELECT value FROM jfs_thing WHERE id = ?${lock ? ' FOR UPDATE' : ''}`, [id], ([found]) => found as bigint);
const add = (id: bigint): Change => change('UPDATE jfs_thing SET value = value + 1 WHERE id = ?', id);

/** Adds one and answers the sum: twice done, it shows. */
function* increment(id: bigint): Op<bigint> {
  const [[found = -1n]] = yield* read(value(id, true));
  yield* write(
    must(1, add(id), () => fail('ENOENT', 'it is gone')),
    add(2n),
  );
  return found + 1n;
}
const sumOf = (engine: Engine, id = 1n): Promise<bigint | undefined> =>
  engine.view(function* () {
    const [[found]] = yield* read(value(id));
    return found;
  });

async function newDatabase(
  at?: string,
  options: Record<string, string> = {},
): Promise<{ engine: Engine; url: string }> {
  const name = `db${++databases}`;
  await server.createDatabase(name);
  const url = server.url(name, options, at);
  const engine = await openEngine(url);
  await engine.execute(TABLE);
  return { engine, url };
}

const clear = { sslmode: 'disable' };

test('a write is two round trips, a view one, also the first time', tools, async () => {
  const proxy = await TcpProxy.start(temp, server);
  const { engine } = await newDatabase(proxy.at);
  const trips = async (work: () => Promise<unknown>): Promise<number> => {
    const before = proxy.roundTrips;
    await work();
    return proxy.roundTrips - before;
  };
  for (let i = 0; i < 3; i += 1) {
    assert.equal(await trips(() => engine.run(() => increment(1n))), 2);
    assert.equal(await trips(() => engine.run(() => increment(1n), { looksItself: true })), 2);
    assert.equal(await trips(() => engine.run(() => write(add(1n)), { looksItself: true })), 1);
    assert.equal(await trips(() => engine.run(() => write(add(1n), add(2n)), { looksItself: true })), 1);
    assert.equal(await trips(() => sumOf(engine)), 1);
    const both = (): Op<unknown> => read(value(1n), value(2n));
    assert.equal(await trips(() => engine.view(both)), 1);
  }
  await engine.close();
});

test('views that wait for a connection share its next round trip', tools, async () => {
  const proxy = await TcpProxy.start(temp, server);
  const { engine } = await newDatabase(proxy.at);
  const all = (n: number): Promise<unknown[]> => Promise.all(Array.from({ length: n }, () => sumOf(engine)));
  // Every connection that there may be is open then.
  const slow = query('SELECT pg_sleep(0.5)::text FROM jfs_thing', [], () => undefined);
  await Promise.all(Array.from({ length: 3 }, () => engine.view(() => read(slow, slow))));
  const before = proxy.roundTrips;
  const missing = engine.view(() => read(query('SELECT value FROM jfs_missing', [], (row) => row)));
  const [sums] = await Promise.all([all(60), assert.rejects(missing, (thrown) => hasCode(thrown, 'metadata-damaged'))]);
  assert.deepEqual(new Set(sums), new Set([0n]));
  assert.ok(proxy.roundTrips - before < 10, `${proxy.roundTrips - before} round trips`);
  await engine.close();
});

test('an operation whose commit was not answered happens once', tools, async () => {
  const proxy = await CuttingProxy.start(temp, server.port);
  const { engine } = await newDatabase(proxy.at, clear);
  let done = 0n;
  for (const side of ['request', 'answer'] as const)
    for (const looksItself of [false, true]) {
      const told: boolean[] = [];
      const sum = await engine.run(
        function* ({ ambiguous }) {
          told.push(ambiguous);
          const [[found = -1n]] = yield* read(value(1n));
          // What an operation that looks by itself does.
          if (ambiguous && looksItself && found > done) return found;
          if (told.length === 1) proxy.cutAt(side, 'COMMIT');
          yield* write(add(1n));
          return found + 1n;
        },
        { looksItself },
      );
      done += 1n;
      assert.equal(sum, done);
      assert.equal(await sumOf(engine), done);
      // Only who looks by itself, or whose transaction is known to be undone, is run again.
      assert.deepEqual(told, side === 'answer' && !looksItself ? [false] : [false, true]);
    }
  assert.equal(proxy.cuts, 4);
  // The same for what has no reads.
  for (const side of ['request', 'answer'] as const) {
    proxy.cutAt(side, 'COMMIT');
    await engine.run(() => write(add(1n)));
    done += 1n;
  }
  assert.equal(await sumOf(engine), done);
  assert.equal(proxy.cuts, 6);
  await engine.close();
});

test('a connection that ends within an operation costs no operation', tools, async () => {
  const proxy = await CuttingProxy.start(temp, server.port);
  const { engine } = await newDatabase(proxy.at, clear);
  for (const [side, word] of [
    ['request', 'BEGIN'],
    ['answer', 'BEGIN'],
    ['request', 'UPDATE'],
    ['request', 'ROLLBACK'],
  ] as const) {
    proxy.cutAt(side, word);
    if (word === 'ROLLBACK')
      await assert.rejects(
        engine.run(function* (): Op<void> {
          yield* read(value(1n));
          throw fail('EEXIST', 'a rule');
        }),
        (thrown) => hasCode(thrown, 'EEXIST'),
      );
    else await engine.run(() => increment(1n));
  }
  assert.equal(await sumOf(engine), 3n);
  proxy.cutAt('answer', 'value');
  assert.equal(await sumOf(engine), 3n);
  await engine.close();
});

/** Recognises itself, as requests do. */
const recognised = (engine: Engine, token: bigint): Promise<void> =>
  engine.run(
    function* ({ ambiguous }) {
      const known = query('SELECT id FROM jfs_token WHERE id = ?', [token], ([id]) => id);
      if (ambiguous && (yield* read(known))[0].length > 0) return;
      yield* write(add(1n), change('INSERT INTO jfs_token VALUES (?)', token));
    },
    { looksItself: true },
  );

test('ended sessions, a crash and a restart lose nothing that was answered, and repeat nothing', tools, async () => {
  const own = await PostgresServer.start(temp, { durable: true });
  await own.createDatabase('one');
  const engine = await openEngine(own.url('one'));
  await engine.execute(TABLE);
  await engine.execute('CREATE TABLE jfs_token (id BIGINT PRIMARY KEY);');
  let [answered, unknown, tokens] = [0n, 0n, 0n];
  let going = true;
  const worker = async (): Promise<void> => {
    while (going) {
      tokens += 1n;
      await recognised(engine, tokens);
      answered += 1n;
    }
  };
  let asked = 0n;
  /** Has the server asked, who may not know after a crash. */
  const asker = async (): Promise<void> => {
    while (going)
      await engine
        .run(() => write(add(2n)))
        .then(
          () => {
            asked += 1n;
          },
          (thrown) => {
            assert.ok(hasCode(thrown, 'EIO'), String(thrown));
            unknown += 1n;
          },
        );
  };
  const working = Promise.all([worker(), worker(), worker(), asker(), asker()]);
  const until = async (count: bigint): Promise<void> => {
    while (answered < count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  for (let i = 0; i < 5; i += 1) {
    await until(answered + 20n);
    await own.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'one'");
  }
  assert.equal(unknown, 0n, 'of a server that goes on it is known');
  for (const mode of ['immediate', 'fast', 'immediate'] as const) {
    await until(answered + 20n);
    await own.restart(mode);
  }
  await until(answered + 20n);
  going = false;
  await working;
  assert.equal(await sumOf(engine), answered);
  const sum = (await sumOf(engine, 2n)) ?? 0n;
  assert.ok(asked <= sum && sum <= asked + unknown, `${asked} answered, ${unknown} unknown, found ${sum}`);
  await engine.close();
});

test('who locks in another order, or does the same at the same time, is tried again', tools, async () => {
  const { engine, url } = await newDatabase();
  const other = await openEngine(url);
  const both = (first: bigint, second: bigint) =>
    function* (): Op<void> {
      yield* read(value(first, true));
      yield* read(value(second, true));
      yield* write(add(first), add(second));
    };
  // The server ends one of two that wait for each other, after a second.
  await Promise.all(
    [engine, other].flatMap((one, i) =>
      Array.from({ length: 3 }, () => one.run(i === 0 ? both(1n, 2n) : both(2n, 1n))),
    ),
  );
  assert.equal(await sumOf(engine), 6n);
  assert.equal(await sumOf(engine, 2n), 6n);
  // A unique key that another client was faster to write is found by the second run.
  const insert = (id: bigint) => change('INSERT INTO jfs_thing (id, value) VALUES (?, 0)', id);
  const claim = (one: Engine): Promise<string> =>
    one.run(function* (): Op<string> {
      const [[found]] = yield* read(value(3n));
      if (found !== undefined) return 'there';
      yield* write(insert(3n));
      return 'made';
    });
  const claims = await Promise.all([engine, other, engine, other, engine, other].map(claim));
  assert.deepEqual(claims.sort(), ['made', 'there', 'there', 'there', 'there', 'there']);
  await Promise.all([engine.close(), other.close()]);
});

test('an expectation is judged in the transaction; one that lost a race is tried again', tools, async () => {
  const { engine, url } = await newDatabase();
  const other = await openEngine(url);
  const gone = (): Error => fail('ENOENT', 'it is gone');
  let runs = 0;
  await engine.run(function* (): Op<void> {
    const [[found = 0n]] = yield* read(value(1n));
    runs += 1;
    if (runs === 1) void other.run(() => write(add(1n)));
    if (runs === 1) yield* read(query('SELECT pg_sleep(0.5)::text', [], () => undefined));
    yield* write(
      add(2n),
      must(1, change('UPDATE jfs_thing SET value = value + 10 WHERE id = 1 AND value = ?', found), gone as never),
    );
  });
  assert.equal(runs, 2);
  assert.equal(await sumOf(engine), 11n);
  assert.equal(await sumOf(engine, 2n), 1n, 'the first run left nothing');
  for (const [rows, ok] of [
    [2, true],
    [1, false],
    [3, false],
  ] as const) {
    const touch = engine.run(() =>
      write(
        add(1n),
        must(rows, change('UPDATE jfs_thing SET small = 7 WHERE id < 3'), () => fail('ENOTEMPTY', 'other count')),
      ),
    );
    if (ok) await touch;
    else await assert.rejects(touch, (thrown) => hasCode(thrown, 'ENOTEMPTY'));
  }
  assert.equal(await sumOf(engine), 12n);
  await Promise.all([engine.close(), other.close()]);
});

test('what the server says is told in our codes', tools, async () => {
  const { engine, url } = await newDatabase();
  const code = async (work: Promise<unknown>, ...codes: Parameters<typeof hasCode>[1][]): Promise<void> =>
    assert.rejects(work, (thrown) => hasCode(thrown, ...codes) || assert.fail(String(thrown)));
  const asking = (sql: string): Promise<unknown> => engine.view(() => read(query(sql, [], (row) => row)));
  await code(asking('SELECT value FROM jfs_setting'), 'not-formatted');
  await code(asking('SELECT value FROM jfs_counter'), 'metadata-damaged');
  await code(asking('SELECT more FROM jfs_thing'), 'metadata-damaged');
  const large = change('UPDATE jfs_thing SET small = ? WHERE id = 1', 2n ** 31n);
  await code(
    engine.run(() => write(large)),
    'EINVAL',
  );
  await code(
    engine.run(() => write(change('INSERT INTO jfs_thing VALUES (5, NULL)'))),
    'metadata-damaged',
  );
  const reader = await openEngine(url, { readOnly: true });
  await code(
    reader.run(() => write(add(1n))),
    'EROFS',
  );
  await code(reader.execute('DROP TABLE jfs_thing'), 'EROFS');
  assert.equal(await sumOf(reader), 0n);
  await Promise.all([engine.close(), reader.close()]);
  await code(openEngine(url.replace(/\/db\d+\?/, '/missing?')), 'metadata-unavailable');
});

test(
  'a statement that is gone with a pooler is refused, and never repeated outside of its transaction',
  tools,
  async () => {
    const { engine } = await newDatabase();
    const both = (): Promise<void> => engine.run(() => write(add(2n), add(1n)), { looksItself: true });
    await both();
    await engine.execute('DEALLOCATE ALL');
    await assert.rejects(both(), (thrown) => hasCode(thrown, 'unsupported') && /pooler/.test(thrown.hint ?? ''));
    await both();
    assert.deepEqual([await sumOf(engine), await sumOf(engine, 2n)], [2n, 2n]);
    await engine.close();
  },
);

test('a table that another client has changed is read anew', tools, async () => {
  const { engine } = await newDatabase();
  const whole = (): Op<unknown> => read(query('SELECT * FROM jfs_thing WHERE id = ?', [1n], (row) => row));
  assert.deepEqual(await engine.view(whole), [[[1n, 0n, 0n]]]);
  await server.sql('ALTER TABLE jfs_thing ADD COLUMN more BIGINT DEFAULT 5', `db${databases}`);
  assert.deepEqual(await engine.view(whole), [[[1n, 0n, 0n, 5n]]]);
  await engine.close();
});

test('variables that other clients go by mean nothing here', tools, async (t) => {
  const variables = {
    PGTARGETSESSIONATTRS: 'any',
    PGHOST: 'nowhere',
    PGPASSWORD: 'wrong',
    PGMAX_PIPELINE: '1',
    PGSSL: 'no',
  };
  Object.assign(process.env, variables);
  t.after(() => {
    for (const name of Object.keys(variables)) delete process.env[name];
  });
  const { engine } = await newDatabase();
  assert.equal(await sumOf(engine), 0n);
  await engine.close();
});

test('sums, truths, NULLs and texts come as the values they are', tools, async () => {
  const { engine } = await newDatabase();
  const text = "a'?\u00e4\\ \u{1f512}";
  const [rows] = await engine.view(() =>
    read(
      query(
        "SELECT SUM(value), COUNT(*), COUNT(*) > 1, MAX(small), CAST(NULL AS BIGINT), ?, '?' FROM jfs_thing WHERE id > ?",
        [text, 0n],
        (row) => row,
      ),
    ),
  );
  assert.deepEqual(rows, [[0n, 2n, 1n, 0n, null, text, '?']]);
  await engine.close();
});
