// Stands between the engine and a server without TLS and ends a connection at one word of the protocol, before or after
// the server has got it.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Temp } from '../../harness/temp.ts';

export class CuttingProxy {
  readonly at: string;
  /** Connections ended so far. */
  cuts = 0;
  #armed: { readonly side: 'request' | 'answer'; readonly word: string } | undefined;

  private constructor(port: number) {
    this.at = `127.0.0.1:${port}`;
  }

  static async start(temp: Temp, port: number): Promise<CuttingProxy> {
    const open = new Set<Socket>();
    const server = createServer((client) => {
      const target = connect({ host: '127.0.0.1', port });
      const end = (): void => {
        client.destroy();
        target.destroy();
      };
      for (const socket of [client, target]) {
        open.add(socket);
        socket.on('error', end).on('close', end);
      }
      client.on('data', (bytes: Buffer) => {
        if (proxy.#hits('request', bytes)) end();
        else target.write(bytes);
      });
      target.on('data', (bytes: Buffer) => {
        if (proxy.#hits('answer', bytes)) end();
        else client.write(bytes);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new CuttingProxy((server.address() as AddressInfo).port);
    temp.beforeRemoval(async () => {
      for (const socket of open) socket.destroy();
      server.close();
    });
    return proxy;
  }

  /** The next time that the word comes by in a request (which then does not arrive) or in an answer (likewise). */
  cutAt(side: 'request' | 'answer', word: string): void {
    this.#armed = { side, word };
  }

  #hits(side: 'request' | 'answer', bytes: Buffer): boolean {
    if (this.#armed?.side !== side || !bytes.includes(this.#armed.word)) return false;
    this.#armed = undefined;
    this.cuts += 1;
    return true;
  }
}
