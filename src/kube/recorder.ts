// Events beside the objects that they are about. The same Event again is counted, not repeated; an object that has many is
// limited; a failure to write one is logged and never a failure of the work.
import { randomBytes } from 'node:crypto';
import { FsError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { Lru } from '../base/lru.ts';
import { counter } from '../base/metrics.ts';
import { isMissing } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { timeText } from './conditions.ts';
import type { CoreEvent, ObjectReference } from './objects.ts';
import { events } from './resources.ts';

export interface NewEvent {
  readonly about: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** The API server's own bound. */
const MAX_MESSAGE = 1024;
/** An Event that comes again within this time is counted; the server keeps Events for an hour. */
const SAME_FOR_MS = 600_000;
const MAX_KNOWN = 1024;
/** As client-go: so many at once about one object, then one in five minutes. */
const BURST = 25;
const REFILL_MS = 300_000;
/** Waiting to be written; a server that is away must not fill the memory. */
const MAX_WAITING = 256;

interface Known {
  readonly name: string;
  count: number;
  at: number;
}

const written = counter('pageseal_kube_events_total', 'Events written');
const dropped = counter(
  'pageseal_kube_events_dropped_total',
  'Events that were not written: limited, or the server failed',
);

export class Recorder {
  readonly #client: () => Promise<KubeClient>;
  readonly #component: string;
  readonly #host: string;
  readonly #known = new Lru<string, Known>(MAX_KNOWN);
  readonly #budgets = new Lru<string, { left: number; at: number }>(MAX_KNOWN);
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  /** `client` is asked for at the first Event. */
  constructor(client: () => Promise<KubeClient>, component: string, host: string) {
    this.#client = client;
    this.#component = component;
    this.#host = host;
  }

  record(event: NewEvent): void {
    if (this.#waiting >= MAX_WAITING || !this.#mayWrite(event.about)) {
      dropped.inc();
      return;
    }
    this.#waiting++;
    this.#last = this.#last
      .then(() => this.#write(event))
      .catch((thrown: unknown) => {
        dropped.inc();
        log.warn('an Event could not be written', { reason: event.reason, error: FsError.from(thrown).message });
      })
      .finally(() => {
        this.#waiting--;
      });
  }

  /** Once all that were recorded so far are written, or given up. */
  flush(): Promise<void> {
    return this.#last;
  }

  #mayWrite({ uid, kind, namespace, name }: ObjectReference): boolean {
    const key = uid ?? `${kind}/${namespace}/${name}`;
    const now = performance.now();
    const budget = this.#budgets.get(key) ?? { left: BURST, at: now };
    const refill = Math.floor((now - budget.at) / REFILL_MS);
    budget.left = Math.min(BURST, budget.left + refill);
    budget.at += refill * REFILL_MS;
    this.#budgets.set(key, budget);
    if (budget.left <= 0) return false;
    budget.left--;
    return true;
  }

  async #write(event: NewEvent): Promise<void> {
    const client = await this.#client();
    const { about } = event;
    const message = bounded(event.message);
    const key = JSON.stringify([about.uid, about.kind, about.namespace, about.name, event.type, event.reason, message]);
    const known = this.#known.get(key);
    const namespace = about.namespace ?? 'default';
    const now = timeText(new Date());
    if (known !== undefined && performance.now() - known.at < SAME_FOR_MS) {
      known.count++;
      known.at = performance.now();
      try {
        await client.patch(events, { namespace, name: known.name }, { count: known.count, lastTimestamp: now });
        written.inc();
        return;
      } catch (thrown) {
        if (!isMissing(thrown)) throw thrown;
      }
    }
    const name = `${about.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`;
    await client.create(events, this.#eventOf(event, message, { namespace, name, now }));
    this.#known.set(key, { name, count: 1, at: performance.now() });
    written.inc();
  }

  #eventOf(event: NewEvent, message: string, at: { namespace: string; name: string; now: string }): CoreEvent {
    return {
      metadata: { namespace: at.namespace, name: at.name },
      involvedObject: event.about,
      reason: event.reason,
      message,
      type: event.type,
      count: 1,
      firstTimestamp: at.now,
      lastTimestamp: at.now,
      source: { component: this.#component, host: this.#host },
      reportingComponent: this.#component,
      reportingInstance: this.#host,
    };
  }
}

function bounded(message: string): string {
  if (Buffer.byteLength(message) <= MAX_MESSAGE) return message;
  // The bound counts bytes; a character that is cut is left out.
  return `${Buffer.from(message)
    .subarray(0, MAX_MESSAGE - 4)
    .toString()
    .replace(/\uFFFD+$/, '')}...`;
}
