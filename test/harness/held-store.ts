// An S3 server in a network of the test's own, as seen through a proxy that can leave requests without an answer: whoever
// asked is in the middle of what it does for as long as the test wants. The proxy runs in that network, too.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Namespace } from './namespace.ts';
import type { Temp } from './temp.ts';

const PROGRAM = fileURLToPath(import.meta.resolve('./held-store-proxy.ts'));

/** Of requests: method, how the path begins and ends, and a name in the query. */
export interface HeldRequests {
  readonly method: string;
  readonly begins: string;
  readonly ends?: string;
  readonly query?: string;
}

export interface HeldServer {
  /** PEM file of the CA, beside its key. */
  readonly authority: string;
  readonly address: string;
  readonly port: number;
  readonly endpoint: string;
}

/** The first message tells the proxy what it stands before; then what to hold, by number, and what to let go again. */
export type ToProxy =
  | { readonly kind: 'serve'; readonly server: HeldServer }
  | { readonly kind: 'hold'; readonly number: number; readonly requests: HeldRequests }
  | { readonly kind: 'heal' };
export type FromProxy =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'held'; readonly number: number };

export class HeldStore {
  readonly #address: string;
  readonly #child: ChildProcess;
  readonly #held: number[] = [];
  #port = 0;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.#address = address;
    child.on('message', (message: FromProxy) => {
      if (message.kind === 'held') this.#held[message.number] = (this.#held[message.number] ?? 0) + 1;
    });
  }

  static async start(temp: Temp, inside: Namespace, server: HeldServer): Promise<HeldStore> {
    const [program = '', ...args] = [...inside.enter, process.execPath, PROGRAM];
    const child = spawn(program, args, { env: temp.env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    temp.beforeRemoval(async () => {
      if (child.connected) child.disconnect();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    });
    const store = new HeldStore(child, server.address);
    store.#port = (await store.#ask({ kind: 'serve', server }, 'listening')).port;
    return store;
  }

  /** Of a bucket, as Secrets name it. */
  url(bucket: string): string {
    return `https://${this.#address}:${this.#port}/${bucket}`;
  }

  /** From now on these get no answer. Answers how to ask whether any came. */
  async hold(requests: HeldRequests): Promise<() => boolean> {
    const number = this.#held.push(0) - 1;
    await this.#ask({ kind: 'hold', number, requests }, 'done');
    return () => (this.#held[number] ?? 0) > 0;
  }

  /** Those that come from now on are answered; those that were held never are. */
  async heal(): Promise<void> {
    await this.#ask({ kind: 'heal' }, 'done');
  }

  async #ask<Kind extends FromProxy['kind']>(
    message: ToProxy,
    kind: Kind,
  ): Promise<Extract<FromProxy, { readonly kind: Kind }>> {
    const answer = new Promise<Extract<FromProxy, { readonly kind: Kind }>>((resolve, reject) => {
      const ended = (): void => reject(new Error('the proxy of the store has ended'));
      const heard = (said: FromProxy): void => {
        if (said.kind !== kind) return;
        this.#child.off('message', heard);
        this.#child.off('exit', ended);
        resolve(said as Extract<FromProxy, { readonly kind: Kind }>);
      };
      this.#child.on('message', heard);
      this.#child.on('exit', ended);
    });
    this.#child.send(message);
    return answer;
  }
}
