// What one mount has closed, another sees at its next open, although its kernel still believes what it was told before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { Content, pattern } from '../model/content.ts';
import { ModelClient } from '../model/judge.ts';

const ROUNDS = 20;
const A = 0;
const B = 1;
const wanted = needs('root', 'fuse', 'python3', 'openssl', 'the addon');

/** Two mounts with the usual lifetimes, and a client that reports what each call gave. */
async function twoMounts(temp: Temp, trashDays: number) {
  const key = await makeKey(temp, 2048, 'pkcs8');
  const pageseal = new Pageseal(temp);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  const format = ['--rsa-key', key.file, '--block-size', '64K', '--trash-days', `${trashDays}`];
  await pageseal.format(metaUrl, 'semantics', `${temp.at('objects')}/`, format);
  const tops = ['a', 'b'].map((name) => temp.folder(name));
  for (const top of tops) await pageseal.mount(metaUrl, top, ['--rsa-key', key.file]);
  const client = new ModelClient(temp, tops);
  const ask = async (m: number, op: string, order: object): Promise<unknown> => {
    const { e, v } = await client.ask({ m, op, ...order });
    assert.equal(e, 0, `${op} ${JSON.stringify(order)} on mount ${m}`);
    return v;
  };
  return { ask, end: () => client.end() };
}

const everything = { at: 0, len: 1 << 20 };

test('an open sees every byte, whatever length was believed', wanted, async (t) => {
  const { ask, end } = await twoMounts(makeTemp(t), 1);
  const content = new Content();
  await ask(A, 'create', { p: 'f', mode: 0o644, exclusive: true });
  for (let round = 0; round < ROUNDS; round++) {
    await ask(B, 'stat', { p: 'f' });
    await ask(B, 'read', { p: 'f', ...everything });
    const data = { seed: `${round}`, len: 100 + round * 3000 };
    if (round % 3 === 2) {
      content.truncate(500);
      await ask(A, 'truncate', { p: 'f', len: 500 });
    } else {
      content.write(content.length, pattern(data.seed, data.len));
      await ask(A, 'append', { p: 'f', ...data });
    }
    assert.equal(await ask(B, 'read', { p: 'f', ...everything }), content.digestOfPart(0, 1 << 20), `round ${round}`);
  }
  await end();
});

for (const trashDays of [0, 1])
  test(`an open finds the file that has replaced another, trash of ${trashDays} days`, wanted, async (t) => {
    const { ask, end } = await twoMounts(makeTemp(t), trashDays);
    await ask(A, 'create', { p: 'f', mode: 0o644, exclusive: true });
    for (let round = 0; round < ROUNDS; round++) {
      await ask(B, 'read', { p: 'f', ...everything });
      const content = new Content();
      content.write(0, pattern(`${round}`, 5000));
      await ask(A, 'create', { p: 'new', mode: 0o644, exclusive: true });
      await ask(A, 'write', { p: 'new', at: 0, len: 5000, seed: `${round}`, truncate: false });
      await ask(A, 'rename', { p: 'new', q: 'f', flags: 0 });
      assert.equal(await ask(B, 'read', { p: 'f', ...everything }), content.digestOfPart(0, 1 << 20), `round ${round}`);
    }
    await end();
  });
