// Packets over unix sockets: descriptors arrive as working copies, what does not fit is said, and nothing waits.
import assert from 'node:assert/strict';
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { native, type Packet } from '../../src/native/native.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';

const EAGAIN = 11;

function pair(path: string): { readonly client: number; readonly server: number; readonly listener: number } {
  const listener = native.listenPackets(path, 4);
  assert.throws(() => native.acceptPackets(listener), { code: 'EAGAIN' });
  const client = native.connectPackets(path);
  return { client, server: native.acceptPackets(listener), listener };
}

test('descriptors travel with a packet, and packets stay whole', (t) => {
  const temp = makeTemp(t);
  const { client, server, listener } = pair(temp.at('socket'));
  assert.equal(native.receivePacket(server, 100), undefined);
  const files = ['a', 'b'].map((name) => native.memfdCreate(name, 1));
  assert.equal(native.sendPacket(client, Buffer.from('first'), files), 0);
  assert.equal(native.sendPacket(client, Buffer.from('second'), []), 0);
  for (const fd of files) closeSync(fd); // on their way they live
  const first = native.receivePacket(server, 100);
  assert.deepEqual([String(first?.data), first?.fds.length, first?.truncated], ['first', 2, false]);
  for (const fd of first?.fds ?? []) {
    writeSync(fd, 'text');
    assert.equal(readFileSync(`/proc/self/fd/${fd}`, 'utf8'), 'text');
    closeSync(fd);
  }
  const second = native.receivePacket(server, 3);
  assert.deepEqual([String(second?.data), second?.fds, second?.truncated], ['sec', [], true]);
  assert.deepEqual(native.peerOf(server), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  closeSync(client);
  assert.equal(native.receivePacket(server, 3)?.data.length, 0);
  for (const fd of [server, listener]) closeSync(fd);
});

test('what cannot be sent now is not waited for, and the loop says when there is room', async (t) => {
  const temp = makeTemp(t);
  const { client, server, listener } = pair(temp.at('socket'));
  let sent = 0;
  const data = Buffer.alloc(10_000);
  while (native.sendPacket(client, data, []) === 0) sent++;
  assert.equal(native.sendPacket(client, data, []), EAGAIN);
  const events: number[] = [];
  const watcher = native.watchDescriptor(client, (ready) => {
    events.push(ready);
    native.watchFor(watcher, 0);
  });
  native.watchFor(watcher, 2);
  const received: Packet[] = [];
  for (let packet = native.receivePacket(server, 10_000); packet !== undefined; ) {
    received.push(packet);
    packet = native.receivePacket(server, 10_000);
  }
  assert.equal(received.length, sent);
  await until('there is room', () => events.length > 0);
  assert.deepEqual(events, [2]);
  native.watchEnd(watcher);
  for (const fd of [client, server, listener]) closeSync(fd);
});

test('nobody there, and a path that is too long, are told', (t) => {
  const temp = makeTemp(t);
  assert.throws(() => native.connectPackets(temp.at('none')), { code: 'ENOENT' });
  assert.throws(() => native.connectPackets(`/${'x'.repeat(200)}`), { code: 'ENAMETOOLONG' });
  const listener = native.listenPackets(temp.at('socket'), 1);
  closeSync(listener);
  assert.throws(() => native.connectPackets(temp.at('socket')), { code: 'ECONNREFUSED' });
});
