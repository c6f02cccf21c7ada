// One object per file system: the oldest, and among those of one second the one that has it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileSystemObject, FileSystemStatus } from '../../src/kube/crd/file-system.ts';
import { Claims } from '../../src/operator/claims.ts';

const UUID = '0f0e0d0c-0000-4000-8000-000000000001';
const SECOND = '2026-01-01T00:00:00Z';
const LATER = '2026-01-01T00:00:01Z';

const object = (name: string, creationTimestamp: string, status?: FileSystemStatus): FileSystemObject => ({
  metadata: { name, namespace: 'team', uid: `uid of ${name}`, creationTimestamp },
  spec: { secretName: 'secret', encryption: 'required', deletionPolicy: 'Retain' },
  ...(status && { status }),
});

test('the oldest has it, whoever asks first', () => {
  const told: string[] = [];
  const claims = new Claims((key) => told.push(key));
  const [young, old] = [object('a', LATER), object('b', SECOND)];
  assert.equal(claims.claim(young, UUID), undefined);
  assert.equal(claims.claim(old, UUID), undefined);
  assert.deepEqual(told, ['team/a'], 'which has to look again');
  assert.equal(claims.claim(young, UUID), 'team/b');
  claims.forget('team/b');
  assert.equal(claims.claim(young, UUID), undefined);
});

for (const [first, second] of [
  ['a', 'b'],
  ['b', 'a'],
] as const)
  test(`of the same second: ${first} came before ${second}`, () => {
    const claims = new Claims(() => undefined);
    assert.equal(claims.claim(object(first, SECOND), UUID), undefined);
    assert.equal(claims.claim(object(second, SECOND), UUID), `team/${first}`);
    assert.equal(claims.claim(object(first, SECOND), UUID), undefined);
  });

test('of the same second, after a restart: the one that has it, in whatever order they come', () => {
  const claims = new Claims(() => undefined);
  const had = object('had', SECOND, { uuid: UUID, phase: 'Ready' });
  const refused = object('a-refused', SECOND, { uuid: UUID, phase: 'Conflict' });
  claims.claim(refused, UUID);
  assert.equal(claims.claim(had, UUID), undefined);
  assert.equal(claims.claim(refused, UUID), 'team/had');
});
