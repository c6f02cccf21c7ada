// Stands between clients and a real S3 server, with a certificate of the same CA, and answers some requests as servers,
// proxies and networks under stress do. What it lets pass it does not change, so signatures stay valid. Counts what it did.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { Agent, createServer, type Server, request as secureRequest } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { S3Server } from './s3.ts';
import type { Temp } from './temp.ts';

export interface SeenRequest {
  readonly method: string;
  /** Of the bucket and object, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/**
 * answer: an error of S3's by status and code (503 SlowDown, 403 ExpiredToken, 507 ...), the server never sees the request.
 * cut: the answer's body ends with a reset after so many bytes. short: it ends there as if that were all of it.
 * stale: an old answer to the same request, from when `remember` was called. lose: the server has done it, the client is
 * reset before the answer. hang: no answer ever. delay: it comes late.
 */
export type S3Fault =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly code: string;
      readonly headers?: Record<string, string>;
    }
  | { readonly kind: 'cut' | 'short'; readonly bytes: number }
  | { readonly kind: 'stale' | 'lose' | 'hang' }
  | { readonly kind: 'delay'; readonly ms: number };

/** What the proxy has to know of a server. */
export type S3Target = Pick<S3Server, 'address' | 'port' | 'endpoint' | 'authority'>;

interface Rule {
  readonly fault: S3Fault;
  readonly matches: (seen: SeenRequest) => boolean;
  times: number;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export const slowDown: S3Fault = { kind: 'answer', status: 503, code: 'SlowDown' };
export const expiredToken: S3Fault = { kind: 'answer', status: 403, code: 'ExpiredToken' };
export const noSpace: S3Fault = { kind: 'answer', status: 507, code: 'InsufficientStorage' };

/** As a server whose clock is off by so much: it shows its time, by which clients may sign again. */
export const skewed = (byMs: number): S3Fault => ({
  kind: 'answer',
  status: 403,
  code: 'RequestTimeTooSkewed',
  headers: { date: new Date(Date.now() + byMs).toUTCString() },
});

export const redirect = (location: string): S3Fault => ({
  kind: 'answer',
  status: 307,
  code: 'TemporaryRedirect',
  headers: { location },
});

export const isListing = ({ query }: SeenRequest): boolean => query.has('list-type') || query.has('marker');

export class S3Proxy {
  /** Of every request that came, in order. */
  readonly seen: SeenRequest[] = [];
  /** How often each kind of fault was suffered; answers by their code. */
  readonly faults = new Map<string, number>();
  port = 0;
  readonly #target: S3Target;
  readonly #agent: Agent;
  readonly #remembered = new Map<string, Answer>();
  /** By the client's port: a reset goes below TLS. */
  readonly #sockets = new Map<number, Socket>();
  #rules: Rule[] = [];
  #remembers = false;
  #server: Server | undefined;

  private constructor(target: S3Target) {
    this.#target = target;
    this.#agent = new Agent({ keepAlive: true, ca: target.authority.pem });
  }

  static async start(temp: Temp, target: S3Target): Promise<S3Proxy> {
    const proxy = new S3Proxy(target);
    const { certificate, key } = await target.authority.server([target.address, '127.0.0.1', 'localhost']);
    const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (incoming, outgoing) => {
      void proxy.#serve(incoming, outgoing).catch(() => outgoing.destroy());
    });
    server.on('connection', (socket: Socket) => proxy.#keep(socket));
    server.listen(0, target.address);
    await once(server, 'listening');
    proxy.#server = server;
    proxy.port = (server.address() as AddressInfo).port;
    temp.beforeRemoval(() => proxy.#stop());
    return proxy;
  }

  /** Addressed by path. */
  url(bucket: string): string {
    return `https://${this.#target.address}:${this.port}/${bucket}`;
  }

  /** The next matching requests, so many, suffer it; the first rule that fits counts. */
  inject(fault: S3Fault, matches: (seen: SeenRequest) => boolean = () => true, times = Number.POSITIVE_INFINITY): void {
    this.#rules.push({ fault, matches, times });
  }

  /** No faults any more. */
  heal(): void {
    this.#rules = [];
  }

  /** Keeps the next answer to each GET for `stale`. */
  remember(): void {
    this.#remembers = true;
  }

  /** Requests by method, listings apart. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const one of this.seen) {
      const name = isListing(one) ? 'LIST' : one.method;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'https://server');
    const seen = { method: incoming.method ?? '', path: url.pathname, query: url.searchParams };
    this.seen.push(seen);
    const fault = this.#faultOf(seen);
    const old = this.#remembered.get(incoming.url ?? '');
    if (fault?.kind === 'answer') return await refuse(incoming, outgoing, fault);
    if (fault?.kind === 'hang') return void incoming.resume();
    if (fault?.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.ms));
    if (fault?.kind === 'stale' && old !== undefined)
      return void outgoing.writeHead(old.status, old.headers).end(old.body);
    const answer = await this.#forward(incoming);
    if (fault?.kind === 'lose') return this.#reset(incoming);
    if (fault?.kind === 'cut' || fault?.kind === 'short') {
      const spoilt = Buffer.concat(await answer.toArray()).subarray(0, fault.bytes);
      const headers = { ...answer.headers, ...(fault.kind === 'short' && { 'content-length': `${spoilt.length}` }) };
      outgoing.writeHead(answer.statusCode ?? 502, headers);
      if (fault.kind === 'short') return void outgoing.end(spoilt);
      return void outgoing.write(spoilt, () => this.#reset(incoming));
    }
    if (!this.#remembers || incoming.method !== 'GET') {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      return await pipeline(answer, outgoing);
    }
    const body = Buffer.concat(await answer.toArray());
    const kept = { status: answer.statusCode ?? 502, headers: answer.headers, body };
    if (old === undefined) this.#remembered.set(incoming.url ?? '', kept);
    outgoing.writeHead(kept.status, kept.headers).end(body);
  }

  #faultOf(seen: SeenRequest): S3Fault | undefined {
    const rule = this.#rules.find((one) => one.times > 0 && one.matches(seen));
    if (rule === undefined) return undefined;
    rule.times--;
    const name = rule.fault.kind === 'answer' ? rule.fault.code : rule.fault.kind;
    this.faults.set(name, (this.faults.get(name) ?? 0) + 1);
    return rule.fault;
  }

  /** With the headers as they came, Host too: they are signed. */
  async #forward(incoming: IncomingMessage): Promise<IncomingMessage> {
    const { address: host, port, endpoint } = this.#target;
    const { method, url: path, headers } = incoming;
    const options = { host, port, method, path, headers };
    const sent = endpoint.startsWith('https:') ? secureRequest({ ...options, agent: this.#agent }) : request(options);
    sent.on('error', () => undefined); // before an answer the next lines hear of it; a server may answer and close early
    incoming.pipe(sent);
    incoming.once('error', () => sent.destroy()); // a client that goes takes its request along
    sent.on('error', () => undefined); // also after the answer: a server may hang up before it has read everything
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return answer;
  }

  #keep(socket: Socket): void {
    const { remotePort = 0 } = socket;
    this.#sockets.set(remotePort, socket);
    socket.once('close', () => this.#sockets.delete(remotePort));
  }

  #reset({ socket }: IncomingMessage): void {
    this.#sockets.get(socket.remotePort ?? 0)?.resetAndDestroy();
  }

  async #stop(): Promise<void> {
    this.#agent.destroy();
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}

/** As a server that looks at the request first: it is read to its end, so that the client sees the answer. */
async function refuse(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { status, code, headers }: S3Fault & { kind: 'answer' },
): Promise<void> {
  for await (const _ of incoming);
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  outgoing.writeHead(status, { 'content-type': 'application/xml', ...headers });
  outgoing.end(incoming.method === 'HEAD' ? '' : body);
}
