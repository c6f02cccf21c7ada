// Keeper and holder in one process, with descriptors that are no mounts: what is held, given back, let go and refused.
import assert from 'node:assert/strict';
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setLogLevel } from '../../src/base/log.ts';
import { DescriptorHolder } from '../../src/keeper/client-holder.ts';
import { HandOver } from '../../src/keeper/hand-over.ts';
import type { Offer } from '../../src/keeper/holder-link.ts';
import { native } from '../../src/native/native.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const needed = needs('root', 'the addon');
setLogLevel('error');
const never = new AbortController().signal;
const RECOVERY_MS = 400;

class Node {
  readonly socket: string;
  readonly lost: string[] = [];
  holder: DescriptorHolder;
  keeper: HandOver;

  constructor(t: TestContext) {
    this.socket = makeTemp(t).at('keeper-fd.sock');
    this.holder = this.newHolder();
    this.keeper = this.newKeeper();
    t.after(() => {
      this.holder.close();
      this.keeper.close();
    });
  }

  newHolder(): DescriptorHolder {
    this.holder = new DescriptorHolder({ socket: this.socket, lost: (volumeId) => this.lost.push(volumeId) });
    return this.holder;
  }

  newKeeper(): HandOver {
    this.keeper = new HandOver({ socket: this.socket, recoveryDeadlineMs: RECOVERY_MS });
    return this.keeper;
  }

  async held(count: number): Promise<void> {
    await until(`${count} volumes are held`, () => this.holder.held === count);
  }
}

const offer = (volumeId: string, connectionId = '1'): Offer => {
  const fds = ['fuse', 'state'].map((what) => native.memfdCreate(`handed-${volumeId}-${what}`, 1));
  return { volumeId, connectionId, record: `{"of":"${volumeId}"}`, fds };
};

/** Descriptors of this process, on both sides of the connection. */
const open = (volumeId: string): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`/memfd:handed-${volumeId}-`);
    } catch {
      return false; // the listing's own
    }
  }).length;

const closeOf = ({ fds }: Offer): void => {
  for (const fd of fds) closeSync(fd);
};

test('what a keeper serves is held, comes back to the next one, and goes when it ends', needed, async (t) => {
  const node = new Node(t);
  node.keeper.settle();
  const [a, b] = [offer('a'), offer('b')];
  for (const volume of [a, b]) node.keeper.add(volume, true);
  await node.held(2);
  assert.deepEqual(await node.keeper.unheld(), []);
  node.keeper.close();
  for (const volume of [a, b]) closeOf(volume);
  const next = node.newKeeper();
  const offers = await next.gather((found) => found.length === 2, never);
  assert.deepEqual(offers.map(({ volumeId, record }) => [volumeId, record]).sort(), [
    ['a', '{"of":"a"}'],
    ['b', '{"of":"b"}'],
  ]);
  const [first, second] = offers.toSorted((x, y) => (x.volumeId < y.volumeId ? -1 : 1));
  if (first === undefined || second === undefined) throw new Error('two were offered');
  next.add(first, false);
  closeOf(second); // it is refused
  next.settle();
  await node.held(1);
  next.serving('a');
  next.remove('a');
  closeOf(first);
  await node.held(0);
  assert.deepEqual([open('a'), open('b')], [0, 0]);
});

test(
  'a holder that starts later gets everything that is served, and nothing that only waits for a worker',
  needed,
  async (t) => {
    const node = new Node(t);
    node.holder.close();
    node.keeper.settle();
    const [served, waiting] = [offer('served'), offer('waiting')];
    node.keeper.add(served, true);
    node.keeper.add(waiting, false);
    node.newHolder();
    await node.held(1);
    node.keeper.serving('waiting');
    await node.held(2);
    [served, waiting].forEach(closeOf);
  },
);

test('many volumes go both ways although a socket takes few at once', needed, async (t) => {
  const node = new Node(t);
  node.keeper.settle();
  const volumes = Array.from({ length: 700 }, (_, i) => offer(`many-${i}`));
  for (const volume of volumes) node.keeper.add(volume, true);
  await node.held(volumes.length);
  node.keeper.close();
  volumes.forEach(closeOf);
  const offers = await node.newKeeper().gather((found) => found.length === volumes.length, never);
  assert.equal(new Set(offers.map(({ volumeId }) => volumeId)).size, volumes.length);
  offers.forEach(closeOf);
});

test('a volume that no keeper serves in time is closed, also while keepers come and go', needed, async (t) => {
  const node = new Node(t);
  node.keeper.settle();
  const volume = offer('orphan');
  node.keeper.add(volume, true);
  await node.held(1);
  closeOf(volume);
  node.keeper.close();
  // Each takes it and ends before a worker answers.
  while (node.holder.held > 0) {
    const keeper = node.newKeeper();
    const offers = await keeper.gather((found) => found.length > 0 || node.holder.held === 0, never);
    keeper.close();
    offers.forEach(closeOf);
  }
  assert.deepEqual(node.lost, ['orphan']);
  assert.equal(open('orphan'), 0);
});

test('what is mounted anew replaces what was held of it', needed, async (t) => {
  const node = new Node(t);
  node.keeper.settle();
  const [old, fresh] = [offer('v', '1'), offer('v', '2')];
  node.keeper.add(old, true);
  await node.held(1);
  node.keeper.remove('v');
  closeOf(old);
  node.keeper.add(fresh, true);
  await until('the old one is closed', () => open('v') === 4);
  assert.deepEqual(await node.keeper.unheld(), []);
  closeOf(fresh);
});

test('a peer that speaks nonsense or another version is let go, and costs no descriptor', needed, async (t) => {
  const node = new Node(t);
  node.holder.close();
  const said = [
    ['nonsense', ['{"kind":"hello","version":1}', 'no JSON']],
    ['another version', ['{"kind":"hello","version":2}']],
    ['no greeting', ['{"kind":"offered"}']],
    [
      'no descriptors',
      ['{"kind":"hello","version":1}', '{"kind":"offer","volumeId":"x","connectionId":"1","record":""}'],
    ],
  ] as const;
  setLogLevel('error');
  for (const [what, messages] of said) {
    const peer = native.connectPackets(node.socket);
    const extra = offer('extra');
    for (const message of messages)
      native.sendPacket(peer, Buffer.from(message), message === messages.at(-1) ? [extra.fds[0] ?? 0] : []);
    closeOf(extra);
    await until(`${what}: it is let go`, () => {
      const packet = native.receivePacket(peer, 1000);
      return packet?.data.length === 0;
    }).catch((error: NodeJS.ErrnoException) => assert.equal(error.code, 'ECONNRESET'));
    closeSync(peer);
    assert.equal(open('extra'), 0, what);
  }
  // One that is newer, and says more than we know, is a partner.
  const newer = native.connectPackets(node.socket);
  for (const message of ['{"kind":"hello","version":1,"more":1}', '{"kind":"news"}', '{"kind":"offered"}'])
    native.sendPacket(newer, Buffer.from(message), []);
  node.keeper.settle();
  const volume = offer('volume');
  node.keeper.add(volume, true);
  const kinds: unknown[] = [];
  await until('it holds', () => {
    const packet = native.receivePacket(newer, 1000);
    if (packet === undefined) return false;
    for (const fd of packet.fds) closeSync(fd);
    kinds.push((JSON.parse(String(packet.data)) as { kind: string }).kind);
    return kinds.includes('hold');
  });
  assert.deepEqual(kinds, ['hello', 'hold']);
  closeSync(newer);
  closeOf(volume);
});
