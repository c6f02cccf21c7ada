// Stands between a client and a real server and lets the connection suffer what networks do; what it carries it does not
// understand, so TLS passes through whole. Counts what it did.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from './port.ts';
import type { Temp } from './temp.ts';

export interface Target {
  readonly address: string;
  readonly port: number;
}

export type Direction = 'toServer' | 'toClient';
const DIRECTIONS = ['toServer', 'toClient'] as const;

/** How many connections suffered what. */
export interface NetworkFaults {
  cut: number;
  lost: number;
  refused: number;
  reset: number;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly bytes: Record<Direction, number>;
  last: Direction;
  /** Nothing will come through any more, not even the end. */
  lost: boolean;
}

interface Limit {
  readonly direction: Direction;
  readonly bytes: number;
  connections: number;
}

/** Bytes of one piece where a rate is kept. */
const PIECE = 16 * 1024;

export class TcpProxy {
  readonly address: string;
  port = 0;
  readonly faults: NetworkFaults = { cut: 0, lost: 0, refused: 0, reset: 0 };
  /** Connections since the start. */
  connections = 0;
  /** How often the client spoke after the server had: on a connection that waits for each answer, its round trips. */
  roundTrips = 0;
  readonly #target: Target;
  readonly #links = new Set<Link>();
  #server: Server | undefined;
  #cut: { readonly healed: Promise<void>; heal(): void } | undefined;
  #delayMs = 0;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #limit: Limit | undefined;

  private constructor(target: Target, address: string) {
    this.#target = target;
    this.address = address;
  }

  static async start(temp: Temp, target: Target, address = '127.0.0.1'): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, address);
    proxy.port = await freePort(address);
    await proxy.accept();
    temp.beforeRemoval(async () => {
      proxy.heal();
      await proxy.refuse();
    });
    return proxy;
  }

  /** As `host:port` has it. */
  get at(): string {
    return `${this.address}:${this.port}`;
  }

  /** Every byte of each direction comes so much later. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** For each connection and direction. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** As when a cable is pulled: nothing comes through, nobody is told; what was sent arrives after `heal`. */
  cut(): void {
    if (this.#cut !== undefined) return;
    let heal = (): void => undefined;
    const healed = new Promise<void>((resolve) => {
      heal = resolve;
    });
    this.#cut = { healed, heal };
    this.faults.cut += this.#links.size;
  }

  heal(): void {
    this.#cut?.heal();
    this.#cut = undefined;
  }

  /** As when a device between forgets them: the connections of now carry nothing ever again, and nobody is told. */
  lose(): void {
    for (const link of this.#links) {
      if (!link.lost) this.faults.lost++;
      link.lost = true;
    }
  }

  /** Ends the connections of now, both ends being told (RST). */
  reset(): void {
    for (const link of this.#links) this.#break(link);
  }

  /** The next connections, so many, are reset when they have carried that much in one direction. */
  resetAfter(bytes: number, direction: Direction = 'toClient', connections = 1): void {
    this.#limit = { bytes, direction, connections };
    // A connection of now has a past.
    for (const link of this.#links) link.bytes[direction] = 0;
  }

  /** Ends the connections of now; whoever comes is refused until `accept`. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.faults.refused += this.#links.size;
    for (const link of this.#links) destroy(link);
    if (server === undefined) return;
    server.close();
    await once(server, 'close');
  }

  async accept(): Promise<void> {
    if (this.#server !== undefined) return;
    this.#server = createServer((client) => this.#link(client)).listen(this.port, this.address);
    await once(this.#server, 'listening');
  }

  #link(client: Socket): void {
    this.connections++;
    const { address: host, port } = this.#target;
    const link: Link = {
      client,
      server: connect({ host, port }),
      bytes: { toServer: 0, toClient: 0 },
      last: 'toClient',
      lost: false,
    };
    this.#links.add(link);
    for (const socket of [link.client, link.server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined); // the other side is told below
      socket.once('close', () => {
        if (!link.lost) destroy(link);
        this.#links.delete(link);
      });
    }
    for (const direction of DIRECTIONS)
      void this.#carry(link, direction).catch(() => {
        if (!link.lost) destroy(link);
      });
  }

  async #carry(link: Link, direction: Direction): Promise<void> {
    const [from, to] = direction === 'toServer' ? [link.client, link.server] : [link.server, link.client];
    for await (const bytes of from) {
      const due = performance.now() + this.#delayMs;
      for (let at = 0; at < bytes.length; ) {
        const piece = bytes.subarray(at, at + (Number.isFinite(this.#bytesPerSecond) ? PIECE : bytes.length));
        at += piece.length;
        await this.#wait(due, piece.length);
        if (link.lost) break;
        if (!this.#count(link, direction, piece.length)) return;
        if (!to.write(piece)) await once(to, 'drain');
      }
    }
    if (!link.lost) to.end();
  }

  async #wait(due: number, bytes: number): Promise<void> {
    const left = due - performance.now() + (bytes / this.#bytesPerSecond) * 1000;
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    await this.#cut?.healed;
  }

  /** False: the connection has been reset. */
  #count(link: Link, direction: Direction, bytes: number): boolean {
    if (direction === 'toServer' && link.last === 'toClient') this.roundTrips++;
    link.last = direction;
    link.bytes[direction] += bytes;
    const limit = this.#limit;
    if (limit?.direction !== direction || link.bytes[direction] <= limit.bytes) return true;
    limit.connections--;
    if (limit.connections === 0) this.#limit = undefined;
    this.#break(link);
    return false;
  }

  #break(link: Link): void {
    this.faults.reset++;
    link.client.resetAndDestroy();
    link.server.destroy();
  }
}

function destroy({ client, server }: Link): void {
  client.destroy();
  server.destroy();
}
