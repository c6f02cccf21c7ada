// How a process looks that spawn started.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { native, type SpawnPlan } from '../../src/native/native.ts';

function plan(script: string, fds: readonly number[]): SpawnPlan {
  return {
    file: process.execPath,
    args: ['node', '-e', script],
    env: ['ONLY=this'],
    directory: '/',
    fds,
    newPidNamespace: true,
    oomScoreAdj: 321,
  };
}

const ended = (pidfd: number): Promise<[number, number]> =>
  new Promise((resolve) => native.watchExit(pidfd, (code, signal) => resolve([code, signal])));

test('it has no rights, no environment, and no descriptor that it was not given', async () => {
  const nothing = openSync('/dev/null', 'r+');
  const out = native.memfdCreate('out', 1);
  const script = `
    const { readFileSync, readlinkSync, existsSync, writeFileSync } = require('node:fs');
    const status = readFileSync('/proc/self/status', 'utf8');
    const read = (name) => status.match(new RegExp('^' + name + ':\\\\s*(.*)$', 'm'))[1];
    const inherited = [3, 4, 5].map((fd) => existsSync('/proc/self/fd/' + fd) && readlinkSync('/proc/self/fd/' + fd));
    writeFileSync(3, JSON.stringify({ env: process.env, cwd: process.cwd(), pid: process.pid, inherited,
      caps: ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].map(read), noNewPrivs: read('NoNewPrivs'), bounding: read('CapBnd'),
      oom: readFileSync('/proc/self/oom_score_adj', 'utf8').trim() }));`;
  const spawned = native.spawn(plan(script, [nothing, nothing, 2, out]));
  assert.deepEqual(await ended(spawned.pidfd), [0, 0]);
  const said = JSON.parse(readFileSync(`/proc/self/fd/${out}`, 'utf8'));
  assert.deepEqual(said.env, { ONLY: 'this' });
  assert.equal(said.cwd, '/');
  assert.deepEqual(new Set(said.caps), new Set(['0000000000000000']));
  assert.equal(said.noNewPrivs, '1');
  assert.equal(said.oom, '321');
  assert.match(said.inherited[0], /memfd:out/);
  for (const link of said.inherited.slice(1)) assert.doesNotMatch(String(link), /memfd|null/);
  if (process.getuid?.() === 0) assert.equal(said.bounding, '0000000000000000');
  if (spawned.pidNamespace) assert.equal(said.pid, 1);
  for (const fd of [nothing, out]) closeSync(fd);
});

test('its end is told with code or signal', async () => {
  const nothing = openSync('/dev/null', 'r+');
  const leaving = native.spawn(plan('process.exit(7)', [nothing, nothing, 2]));
  const staying = native.spawn(plan('setInterval(() => {}, 1000)', [nothing, nothing, 2]));
  const killed = ended(staying.pidfd);
  native.signalProcess(staying.pidfd, 9);
  assert.deepEqual(await ended(leaving.pidfd), [7, 0]);
  assert.deepEqual(await killed, [0, 9]);
  closeSync(nothing);
});

test('a program that does not exist is an error here, not in the child', () => {
  assert.throws(() => native.spawn({ ...plan('', []), file: '/nonexistent' }), { code: 'ENOENT', syscall: 'execve' });
});
