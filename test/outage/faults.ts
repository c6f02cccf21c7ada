// What stores, databases and networks do to a mount, each as something that begins and ends.
import { expiredToken, isListing, noSpace, type SeenRequest, skewed, slowDown } from '../harness/s3-proxy.ts';
import type { ScaledVolume } from './scaled-volume.ts';

export interface Fault {
  readonly name: string;
  begin(volume: ScaledVolume): Promise<void> | void;
  end(volume: ScaledVolume): Promise<void> | void;
  /** It is over at once, however long it is. */
  readonly momentary?: boolean;
}

const healed = ({ answers }: ScaledVolume): void => answers.heal();
const isPut = ({ method }: SeenRequest): boolean => method === 'PUT';
const isGet = (seen: SeenRequest): boolean => seen.method === 'GET' && !isListing(seen);

/** Bytes of an answer that arrive: less than the smallest page with its envelope. */
const SOME = 200;
const LATE_MS = 700;
const SLOW_BYTES_PER_S = 256 * 1024;
const AN_HOUR_MS = 3_600_000;

/** In every one of them nothing may be told and nothing may be lost. */
export const faults: readonly Fault[] = [
  {
    name: 'store slow',
    begin: ({ answers, toStore }) => {
      answers.inject({ kind: 'delay', ms: LATE_MS });
      toStore.throttle(SLOW_BYTES_PER_S);
    },
    end: ({ answers, toStore }) => {
      answers.heal();
      toStore.throttle(Number.POSITIVE_INFINITY);
    },
  },
  { name: 'store throttling (503 SlowDown)', begin: ({ answers }) => answers.inject(slowDown), end: healed },
  {
    name: 'answers reset mid-body',
    begin: ({ answers }) => answers.inject({ kind: 'cut', bytes: SOME }, isGet),
    end: healed,
  },
  {
    name: 'uploads reset mid-body',
    begin: ({ toStore }) => toStore.resetAfter(SOME * 10, 'toServer', Number.POSITIVE_INFINITY),
    end: ({ toStore }) => toStore.resetAfter(Number.MAX_SAFE_INTEGER, 'toServer', 1),
  },
  { name: 'answers lost after uploads', begin: ({ answers }) => answers.inject({ kind: 'lose' }, isPut), end: healed },
  {
    name: 'answers of wrong length',
    begin: ({ answers }) => answers.inject({ kind: 'short', bytes: SOME }, isGet, 1),
    end: healed,
    momentary: true,
  },
  { name: 'stale listing', begin: ({ answers }) => answers.inject({ kind: 'stale' }, isListing), end: healed },
  {
    name: 'clock skew of the store',
    begin: ({ answers }) => answers.inject(skewed(AN_HOUR_MS), isPut),
    end: healed,
  },
  { name: 'expired token', begin: ({ answers }) => answers.inject(expiredToken), end: healed },
  { name: 'store restarted', begin: ({ store }) => store.stop('SIGKILL'), end: ({ store }) => store.start() },
  {
    name: 'store unreachable',
    begin: ({ toStore }) => toStore.refuse(),
    end: ({ toStore }) => toStore.accept(),
  },
  {
    name: 'database restarted',
    begin: ({ database }) => database.stop('fast'),
    end: ({ database }) => database.start(),
  },
  { name: 'database killed', begin: ({ database }) => database.kill(), end: ({ database }) => database.start() },
  {
    name: 'connections to the database reset',
    begin: ({ toDatabase }) => toDatabase.reset(),
    end: () => undefined,
    momentary: true,
  },
  {
    name: 'connections to the database forgotten',
    begin: ({ toDatabase }) => toDatabase.lose(),
    end: () => undefined,
    momentary: true,
  },
  {
    name: 'network cut',
    begin: ({ toDatabase, toStore }) => {
      toDatabase.cut();
      toStore.cut();
    },
    end: ({ toDatabase, toStore }) => {
      toDatabase.heal();
      toStore.heal();
    },
  },
];

/** The last one: there is no way back. */
export const failOver: Fault = {
  name: 'database fail-over',
  begin: ({ database }) => database.kill(),
  end: async ({ replica }) => {
    await replica.sql(`ALTER SYSTEM SET synchronous_standby_names = ''`);
    await replica.promote();
  },
};

export const fullStore: Fault = {
  name: 'full store',
  begin: ({ answers }) => answers.inject(noSpace, isPut),
  end: healed,
};
