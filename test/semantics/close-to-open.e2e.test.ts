// What one mount has closed, another sees at its next open, although its kernel still believes what it was told before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { Content, pattern } from '../model/content.ts';
import { A, B, everything, twoMounts, wanted } from './two-mounts.ts';

const ROUNDS = 20;

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
      const old = await ask(B, 'read', { p: 'f', ...everything });
      // Somebody who keeps the old one open keeps it, and nobody else.
      const kept = round % 2 === 1;
      if (kept) await ask(B, 'hold', { p: 'f', slot: 0, how: 'r' });
      const content = new Content();
      content.write(0, pattern(`${round}`, 5000));
      await ask(A, 'create', { p: 'new', mode: 0o644, exclusive: true });
      await ask(A, 'write', { p: 'new', at: 0, len: 5000, seed: `${round}`, truncate: false });
      await ask(A, 'rename', { p: 'new', q: 'f', flags: 0 });
      assert.equal(await ask(B, 'read', { p: 'f', ...everything }), content.digestOfPart(0, 1 << 20), `round ${round}`);
      if (kept) {
        for (const op of ['heldRead', 'heldOpenedAgain'])
          assert.equal(await ask(B, op, { slot: 0, ...everything }), old);
        await ask(B, 'drop', { slot: 0 });
      }
    }
    await end();
  });

test('a new mapping shows what another mount has closed, beside an older one', wanted, async (t) => {
  const { ask, end } = await twoMounts(makeTemp(t), 1);
  const content = new Content();
  await ask(A, 'create', { p: 'f', mode: 0o644, exclusive: true });
  await ask(B, 'hold', { p: 'f', slot: 0, how: 'r' });
  for (let round = 0; round < ROUNDS; round++) {
    // In place as well, so that neither length nor place of a page tells that there is something new.
    const at = round % 2 === 0 ? content.length : content.length >> 1;
    const data = { seed: `${round}`, len: 5000 };
    content.write(at, pattern(data.seed, data.len));
    await ask(A, 'write', { p: 'f', at, ...data, truncate: false });
    await ask(B, 'hold', { p: 'f', slot: 1, how: 'w' });
    for (const slot of [1, 0])
      assert.equal(
        await ask(B, 'heldMapped', { slot }),
        content.digestOfPart(0, 1 << 20),
        `round ${round}, slot ${slot}`,
      );
    await ask(B, 'drop', { slot: 1 });
  }
  await end();
});
