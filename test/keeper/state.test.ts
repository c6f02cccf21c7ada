// The state memory as a successor finds it.
import assert from 'node:assert/strict';
import { closeSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { packHandoff, unpackHandoff, type WorkerSettings } from '../../src/keeper/handoff.ts';
import { IdTable } from '../../src/keeper/id-table.ts';
import { IN_FLIGHT_IDS, StateMemory } from '../../src/keeper/state.ts';
import { native } from '../../src/native/native.ts';

const settings: WorkerSettings = {
  purpose: 'serve', metaUrl: 'sqlite3:///m.db', store: { bucket: 'b', caBundle: 'PEM' }, environment: { NO_PROXY: 'x' },
  encryptionRequired: true, uuid: '', keyId: '', directory: '/', readOnly: false, options: [], mountPoint: '/m',
  ownMounts: ['/m'],
}; // biome-ignore format: a table reads better than a column

test('a table finds again what was added and not removed', () => {
  const fd = native.memfdCreate('test', 1);
  const first = new IdTable(fd, 64, 8);
  for (const id of [7n, 9n, 9n, 2n ** 63n + 1n]) first.add(id);
  first.remove(9n);
  first.remove(1000n);
  const second = new IdTable(fd, 64, 8);
  assert.deepEqual(second.adopt(), [7n, 2n ** 63n + 1n]);
  second.add(11n);
  second.remove(7n);
  assert.deepEqual(new Set(second.stored()), new Set([11n, 2n ** 63n + 1n]));
  closeSync(fd);
});

test('a full table refuses with EIO and takes ids again after a removal', () => {
  const fd = native.memfdCreate('test', 1);
  const table = new IdTable(fd, 0, 3);
  for (const id of [1n, 2n, 3n]) table.add(id);
  assert.throws(() => table.add(4n), { code: 'EIO' });
  table.add(2n); // there already
  table.remove(2n);
  table.add(4n);
  assert.deepEqual(table.stored().toSorted(), [1n, 3n, 4n]);
  closeSync(fd);
});

test('the parts of a state memory do not overlap', () => {
  const state = StateMemory.create();
  state.epoch = 5;
  state.sessionId = 2n ** 40n;
  state.negotiated = JSON.stringify({ minor: 45 });
  state.seal(Buffer.from('secret-one'));
  for (let id = 1; id <= IN_FLIGHT_IDS; id++) state.inFlight.add(BigInt(id));
  for (let id = 1; id <= 1000; id++) state.marks.add(BigInt(id) << 32n);
  const successor = StateMemory.attach(state.fd);
  assert.equal(successor.epoch, 5);
  assert.equal(successor.sessionId, 2n ** 40n);
  assert.equal(successor.negotiated, '{"minor":45}');
  assert.equal(successor.connectionId, state.connectionId);
  assert.ok(state.connectionId < 2n ** 63n && state.connectionId > 0n);
  assert.equal(successor.unseal().toString(), 'secret-one');
  assert.equal(successor.inFlight.adopt().length, IN_FLIGHT_IDS);
  assert.equal(successor.marks.adopt().length, 1000);
  closeSync(state.fd);
});

test('what was sealed before is nowhere in the memory', () => {
  const state = StateMemory.create();
  const all = (): Buffer => readFileSync(`/proc/self/fd/${state.fd}`);
  state.seal(Buffer.from('passphrase-canary'));
  assert.ok(all().includes('passphrase-canary'));
  state.seal(Buffer.from('der-canary'));
  assert.ok(!all().includes('passphrase-canary'));
  assert.equal(state.unseal().toString(), 'der-canary');
  state.wipe();
  assert.ok(!all().includes('canary'));
  assert.equal(state.unseal().length, 0);
  closeSync(state.fd);
});

test('a descriptor that is no state memory is refused', () => {
  const fd = native.memfdCreate('test', 1);
  assert.throws(() => StateMemory.attach(fd), { code: 'internal' });
  closeSync(fd);
});

test('an empty passphrase is not an absent one', () => {
  const empty = unpackHandoff(packHandoff({ settings, pem: Buffer.from('p'), passphrase: Buffer.alloc(0) }));
  assert.equal(empty.passphrase?.length, 0);
  assert.equal(empty.der, undefined);
  assert.deepEqual(empty.settings, settings);
  assert.equal(unpackHandoff(packHandoff({ settings, pem: Buffer.from('p') })).passphrase, undefined);
});
