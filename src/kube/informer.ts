// Objects of one resource as they are now: listed once, then watched from there on. A server that restarts is waited for,
// and the watch goes on where it was; when the server does not know that point any more, everything is listed again and
// the difference is told.
import { setTimeout as sleep } from 'node:timers/promises';
import { FsError, fail, hasCode } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { pauseMs } from '../base/retry.ts';
import { isExpired, refusalIn, refusalOf } from './api-error.ts';
import type { KubeClient, Selection } from './client.ts';
import type { KubeObject } from './objects.ts';
import { collectionPath, keyOf, nameOf, type Resource } from './resources.ts';

export interface InformerOptions<T extends KubeObject> extends Selection {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  /** Undefined: it is gone. */
  readonly onChange: (key: string, object: T | undefined, old: T | undefined) => void;
}

const PAGE = 500;
/** As client-go: the server ends a watch after five to ten minutes, so that load spreads after a restart. */
const WATCH_SECONDS = 300;
/** Half a minute at most: who waits for a server looks that often. */
const BACK_OFF = { attempts: 1, baseMs: 500, capMs: 30_000, when: () => true };
/** An object of etcd has 1.5 MiB at most. */
const MAX_LINE = 16 * 1024 * 1024;

interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

export class Informer<T extends KubeObject> {
  readonly #options: InformerOptions<T>;
  readonly #objects = new Map<string, T>();
  readonly #stop = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  /** Where the watch goes on; undefined: list first. */
  #version: string | undefined;
  #running: Promise<void> | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.#synced.promise.catch(() => undefined);
  }

  /** Resolves once the first list is in. */
  start(): Promise<void> {
    this.#running ??= this.#run();
    return this.#synced.promise;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#synced.reject(fail('cancelled', `watch ${this.#options.resource.plural}: stopped`));
    await this.#running;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  all(): T[] {
    return [...this.#objects.values()];
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (this.#version === undefined) await this.#list();
        await this.#watch();
        failures = 0;
      } catch (thrown) {
        if (signal.aborted) return;
        if (await this.#complain(thrown, ++failures)) continue;
        await sleep(pauseMs(BACK_OFF, failures), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** True when there is nothing to wait for. */
  #complain(thrown: unknown, failures: number): boolean {
    const error = FsError.from(thrown);
    // Only a connection that broke goes on where it was: a server that answers and refuses (gone, "too large resource
    // version" of an etcd that was restored) does not know the point any more.
    if (refusalIn(thrown) !== undefined) this.#version = undefined;
    const expired = isExpired(thrown) && failures === 1;
    const fields = { resource: this.#options.resource.plural, error: error.message };
    if (expired || failures === 1) log.debug('watch ended', fields);
    else log.warn('watch fails', fields);
    return expired;
  }

  async #list(): Promise<void> {
    const { client, resource, onChange: _, ...selection } = this.#options;
    const found = new Map<string, T>();
    let version: string | undefined;
    let next: string | undefined;
    do {
      const page = await client
        .list(resource, selection, { limit: PAGE, continue: next }, this.#stop.signal)
        .catch((thrown: unknown) => {
          // Pages of a moment that is forgotten: begin again.
          if (next !== undefined && isExpired(thrown)) return undefined;
          throw thrown;
        });
      if (page === undefined) {
        found.clear();
        next = undefined;
        version = undefined;
        continue;
      }
      for (const object of page.items) found.set(keyOf(nameOf(object)), object);
      version = page.metadata.resourceVersion;
      next = page.metadata.continue === '' ? undefined : page.metadata.continue;
    } while (next !== undefined || version === undefined);
    this.#version = version;
    for (const key of [...this.#objects.keys()]) if (!found.has(key)) this.#set(key, undefined);
    for (const [key, object] of found) this.#set(key, object);
    this.#synced.resolve();
  }

  #set(key: string, object: T | undefined): void {
    const old = this.#objects.get(key);
    const isSame = old?.metadata.resourceVersion === object?.metadata.resourceVersion;
    if (object === undefined) this.#objects.delete(key);
    else this.#objects.set(key, object);
    if (!isSame || old?.metadata.uid !== object?.metadata.uid) this.#options.onChange(key, object, old);
  }

  async #watch(): Promise<void> {
    const { client, resource, namespace, labelSelector, fieldSelector } = this.#options;
    const response = await client.open({
      method: 'GET',
      path: collectionPath(resource, namespace),
      query: {
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: this.#version,
        timeoutSeconds: Math.round(WATCH_SECONDS * (1 + Math.random())),
        labelSelector,
        fieldSelector,
      },
      signal: this.#stop.signal,
      timeoutMs: 0,
    });
    try {
      response.setEncoding('utf8');
      for await (const line of lines(response as AsyncIterable<string>)) this.#take(JSON.parse(line) as WatchEvent<T>);
    } catch (thrown) {
      if (thrown instanceof FsError && !hasCode(thrown, 'cancelled')) throw thrown;
      throw fail('cluster-unavailable', `watch ${resource.plural}: the connection broke`, { cause: thrown });
    } finally {
      response.destroy();
    }
  }

  #take({ type, object }: WatchEvent<T>): void {
    if (type === 'ERROR') {
      const status = (object as { code?: number }).code ?? 500;
      throw refusalOf(status, JSON.stringify(object), `watch ${this.#options.resource.plural}`);
    }
    this.#version = object.metadata.resourceVersion ?? this.#version;
    if (type === 'BOOKMARK') return;
    this.#set(keyOf(nameOf(object)), type === 'DELETED' ? undefined : object);
  }
}

async function* lines(parts: AsyncIterable<string>): AsyncIterable<string> {
  let rest = '';
  for await (const part of parts) {
    const found = `${rest}${part}`.split('\n');
    rest = found.pop() ?? '';
    if (rest.length > MAX_LINE) throw fail('cluster-unavailable', `watch: a line is longer than ${MAX_LINE} bytes`);
    for (const line of found) if (line !== '') yield line;
  }
}
