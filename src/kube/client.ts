// Requests to the API server: JSON over HTTPS, nothing kept. Typed by resource; errors in our codes, never a body.
import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../base/errors.ts';
import type { Access } from './access.ts';
import { isMissing, refusalIn, refusalOf } from './api-error.ts';
import type { KubeList, KubeObject } from './objects.ts';
import { apiVersionOf, collectionPath, type Name, nameOf, objectPath, type Resource } from './resources.ts';

/** The API server itself gives up after a minute. */
const REQUEST_TIMEOUT_MS = 30_000;
/** etcd takes objects of 1.5 MiB; a list of many pages is asked for in pages. */
const MAX_BODY = 64 * 1024 * 1024;
/** Times that a request is sent again because the server asked for patience (it did nothing then). */
const MAX_BUSY_ANSWERS = 5;
const MAX_BUSY_WAIT_MS = 10_000;

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  /** 0: as long as the answer goes on. */
  readonly timeoutMs?: number;
}

export interface Selection {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export type PatchType = 'merge' | 'json' | 'strategic-merge';

export class KubeClient {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  /** The pod's own, or the kubeconfig context's. */
  get namespace(): string {
    return this.#access.namespace;
  }

  get<T extends KubeObject>(of: Resource<T>, name: Name, signal?: AbortSignal): Promise<T> {
    return this.send<T>({ method: 'GET', path: objectPath(of, name), signal });
  }

  /** Undefined where there is none. */
  async find<T extends KubeObject>(of: Resource<T>, name: Name, signal?: AbortSignal): Promise<T | undefined> {
    try {
      return await this.get(of, name, signal);
    } catch (thrown) {
      if (isMissing(thrown)) return undefined;
      throw thrown;
    }
  }

  list<T extends KubeObject>(
    of: Resource<T>,
    selection: Selection = {},
    page: { readonly limit?: number; readonly continue?: string | undefined } = {},
    signal?: AbortSignal,
  ): Promise<KubeList<T>> {
    const { namespace, ...selectors } = selection;
    return this.send({ method: 'GET', path: collectionPath(of, namespace), query: { ...selectors, ...page }, signal });
  }

  create<T extends KubeObject>(of: Resource<T>, object: T): Promise<T> {
    const body = { apiVersion: apiVersionOf(of), kind: of.kind, ...object };
    return this.send<T>({ method: 'POST', path: collectionPath(of, object.metadata.namespace), body });
  }

  /** Writes the whole object; with its resourceVersion only if nobody else did meanwhile. */
  replace<T extends KubeObject>(of: Resource<T>, object: T, subresource?: string): Promise<T> {
    const body = { apiVersion: apiVersionOf(of), kind: of.kind, ...object };
    return this.send<T>({ method: 'PUT', path: objectPath(of, nameOf(object), subresource), body });
  }

  patch<T extends KubeObject>(
    of: Resource<T>,
    name: Name,
    body: unknown,
    { type = 'merge' as PatchType, subresource = undefined as string | undefined } = {},
  ): Promise<T> {
    const contentType = `application/${type}-patch+json`;
    return this.send<T>({ method: 'PATCH', path: objectPath(of, name, subresource), body, contentType });
  }

  async remove(of: Resource<KubeObject>, name: Name): Promise<void> {
    await this.send({ method: 'DELETE', path: objectPath(of, name) });
  }

  /** One request, its whole answer parsed. */
  async send<T>(call: Call): Promise<T> {
    for (let busy = 1; ; busy++) {
      try {
        const text = await bodyOf(await this.open(call), call);
        return JSON.parse(text) as T;
      } catch (thrown) {
        const refusal = refusalIn(thrown);
        if (refusal?.status !== 429 || busy > MAX_BUSY_ANSWERS) throw thrown;
        await sleep(Math.min(Math.max(refusal.retryAfterMs, 1000), MAX_BUSY_WAIT_MS), undefined, {
          ...(call.signal && { signal: call.signal }),
        });
      }
    }
  }

  /** The answer's stream, once its status says that it is one. Whoever got it destroys it. */
  async open(call: Call): Promise<IncomingMessage> {
    const response = await this.#once(call, true);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw refusalOf(status, await bodyOf(response, call), whatOf(call), response.headers['retry-after']);
  }

  async #once(call: Call, again: boolean): Promise<IncomingMessage> {
    const access = await this.#access.options();
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const { server } = this.#access;
    const url = new URL(`${server.pathname.replace(/\/$/, '')}${call.path}`, server);
    for (const [name, value] of Object.entries(call.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = request(url, { ...access, method: call.method, headers: headersOf(access, call, body) }, resolve);
    const timeoutMs = call.timeoutMs ?? REQUEST_TIMEOUT_MS;
    if (timeoutMs > 0) sent.setTimeout(timeoutMs, () => sent.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    const abort = (): void => void sent.destroy(new Error('cancelled'));
    if (call.signal?.aborted) abort();
    call.signal?.addEventListener('abort', abort, { once: true });
    sent.on('close', () => call.signal?.removeEventListener('abort', abort));
    sent.on('error', reject);
    sent.end(body);
    try {
      return await promise;
    } catch (cause) {
      if (call.signal?.aborted) throw fail('cancelled', `${whatOf(call)}: cancelled`);
      // The server may close a kept connection at the moment in which it is used; asking again changes nothing.
      if (again && sent.reusedSocket && call.method === 'GET') return this.#once(call, false);
      throw unreachable(call, cause);
    }
  }

  close(): void {
    this.#access.close();
  }
}

function headersOf(access: RequestOptions, call: Call, body: string | undefined): Record<string, string | number> {
  return {
    ...(access.headers as Record<string, string> | undefined),
    accept: 'application/json',
    'user-agent': 'pageseal',
    ...(body !== undefined && {
      'content-type': call.contentType ?? 'application/json',
      'content-length': Buffer.byteLength(body),
    }),
  };
}

/** The path names objects only, never what is in them. */
const whatOf = ({ method, path }: Call): string => `${method.toLowerCase()} ${path}`;

function unreachable(call: Call, cause: unknown): Error {
  const said = cause instanceof Error ? cause.message : 'failed';
  return fail('cluster-unavailable', `${whatOf(call)}: the API server cannot be reached: ${said}`, { cause });
}

async function bodyOf(response: IncomingMessage, call: Call): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MAX_BODY) throw new Error(`its answer is longer than ${MAX_BODY} bytes`);
      parts.push(part);
    }
  } catch (cause) {
    response.destroy();
    if (call.signal?.aborted) throw fail('cancelled', `${whatOf(call)}: cancelled`);
    throw unreachable(call, cause);
  }
  return Buffer.concat(parts).toString();
}
