// What a keeper is given back and cannot trust: the test plays the holder and gives back something else than it got. The
// keeper says why, lets go of it, and the volume can be mounted anew.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type HolderSays, type KeeperSays, parseKeeperSays } from '../../src/keeper/hand-over-messages.ts';
import { native, type Packet } from '../../src/native/native.ts';
import { until } from '../harness/program.ts';
import { Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { HandoverNode } from './handover-node.ts';

type Hold = KeeperSays & { kind: 'hold' };
type Held = Hold & { readonly fds: readonly number[] };

/** Of the state memory, see state.ts. */
const [VERSION_AT, CONNECTION_AT] = [7, 24];

class FakeHolder {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static async connect(socket: string): Promise<FakeHolder> {
    let fd = -1;
    await until('a keeper listens', () => {
      try {
        fd = native.connectPackets(socket);
        return true;
      } catch {
        return false;
      }
    });
    const holder = new FakeHolder(fd);
    holder.say({ kind: 'hello', version: 1 });
    return holder;
  }

  say(message: HolderSays, fds: readonly number[] = []): void {
    assert.equal(native.sendPacket(this.#fd, Buffer.from(JSON.stringify(message)), fds), 0);
  }

  async hear(kind: KeeperSays['kind']): Promise<Packet & { readonly message: KeeperSays | undefined }> {
    let heard: Packet | undefined;
    await until(`the keeper says ${kind}`, () => {
      const packet = native.receivePacket(this.#fd, 20_000);
      if (packet === undefined || packet.data.length === 0) return false;
      if (parseKeeperSays(packet.data)?.kind === kind) heard = packet;
      return heard !== undefined;
    });
    if (heard === undefined) throw new Error('nothing was heard');
    return { ...heard, message: parseKeeperSays(heard.data) };
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** What is given back in the place of what was held, and what the keeper says to that. */
const changes: readonly { what: string; change: (held: Held) => Held; says: RegExp }[] = [
  {
    what: 'a record of another format',
    change: (held) => ({ ...held, record: held.record.replace('"format":1', '"format":2') }),
    says: /its record has format 2, wanted 1/,
  },
  { what: 'a damaged record', change: (held) => ({ ...held, record: held.record.slice(3) }), says: /is no JSON/ },
  {
    what: "another volume's record",
    change: (held) => ({ ...held, record: held.record.replace(/"volumeId":"[^"]+"/, '"volumeId":"other"') }),
    says: /damaged or of another volume/,
  },
  {
    what: 'a record that names another device',
    change: (held) => ({ ...held, record: held.record.replace(/"device":"[^"]+"/, '"device":"0:1"') }),
    says: /of device 0:1|not mounted at/,
  },
  {
    what: 'a descriptor that is no connection',
    change: (held) => ({ ...held, fds: [openSync('/dev/null', 'r+'), held.fds[1] ?? -1] }),
    says: /is not \/dev\/fuse/,
  },
  {
    what: 'a connection that is not mounted',
    change: (held) => ({ ...held, fds: [openSync('/dev/fuse', 'r+'), held.fds[1] ?? -1] }),
    says: /connection is over/,
  },
  {
    what: 'a state memory of a later version',
    change: (held) => {
      writeSync(held.fds[1] ?? -1, '2', VERSION_AT);
      return held;
    },
    says: /begins with .*PGSLST02/,
  },
  {
    what: 'the state memory of another connection',
    change: (held) => {
      writeSync(held.fds[1] ?? -1, Buffer.alloc(8, 1), 0, 8, CONNECTION_AT);
      return held;
    },
    says: /of another connection/,
  },
  {
    what: 'no state memory',
    change: (held) => ({ ...held, fds: [held.fds[0] ?? -1, native.memfdCreate('other', 1)] }),
    says: /is no state memory/,
  },
];

describe('what is handed over and does not fit', needs('root', 'fuse', 'openssl', 'the addon'), () => {
  const temp = new Temp();
  let node: HandoverNode;
  let top: string;
  before(async () => {
    node = await HandoverNode.make(temp);
    top = await node.publish('pod');
    await node.csi.stopOne('node', 'SIGKILL');
  });
  after(async () => {
    await node?.stop();
    await temp.remove();
  });

  /** The keeper is killed while the test holds its volume, and the next one gets `change` of it. */
  async function giveBack(change: (held: Held) => Held): Promise<string> {
    const socket = temp.at('run/keeper-fd.sock');
    const holder = await FakeHolder.connect(socket);
    holder.say({ kind: 'offered' });
    const { message, fds } = await holder.hear('hold');
    await node.endKeeper('SIGKILL');
    holder.close();
    const given = change({ ...(message as Hold), fds });
    const before = node.log('keeper').length;
    const next = FakeHolder.connect(socket).then(async (again) => {
      const { volumeId, connectionId, record } = given;
      again.say({ kind: 'offer', volumeId, connectionId, record }, given.fds);
      again.say({ kind: 'offered' });
      await again.hear('release');
      again.close();
    });
    await Promise.all([node.csi.startOne('keeper'), next]);
    for (const fd of new Set([...fds, ...given.fds])) closeSync(fd);
    return node.log('keeper').slice(before);
  }

  for (const { what, change, says } of changes)
    test(`${what} is refused, and the volume mounted anew`, async () => {
      const log = await giveBack(change);
      assert.match(log, /volume is not adopted/);
      assert.match(log, says);
      assert.match(log, /volume is lost/);
      assert.throws(() => readFileSync(join(top, 'file')), { code: 'ENOTCONN' });
      await node.csi.startOne('node');
      await node.csi.publish(node.volume, 'pod', node.secrets);
      assert.throws(() => readFileSync(join(top, 'file')), { code: 'ENOENT' });
      await node.csi.stopOne('node', 'SIGKILL');
    });
});
