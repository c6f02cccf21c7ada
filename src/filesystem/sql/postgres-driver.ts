// The driver as a connection uses it: one client per connection, everything said that it would take from the environment.
// What is passed is what it makes of its users' options by itself (3.4.9), since those it completes from PG* variables.
import { Buffer } from 'node:buffer';
import postgres from 'postgres';
import type { WireValue } from './postgres-dialect.ts';
import type { PostgresLocation } from './postgres-url.ts';
import type { Wire } from './postgres-wire.ts';

export type Driver = postgres.Sql;

/** What a query of the driver has beside its types: values set here are sent with the first Parse, without a round trip. */
export interface QueryInternals {
  parameters: readonly WireValue[];
  /** Why it was sent once more. */
  readonly retried?: unknown;
}

const integer = (text: string): bigint => BigInt(text);
/** By the server's type: int8, int2, int4, oid, numeric (of sums); bool; bytea. Everything else is text. */
const parsers = {
  20: integer,
  21: integer,
  23: integer,
  26: integer,
  1700: integer,
  16: (text: string) => (text === 't' ? 1n : 0n),
  17: (text: string) => Buffer.from(text.slice(2), 'hex'),
};

export function driverOf(location: PostgresLocation, wire: Wire): Driver {
  let used = false;
  const options = {
    host: ['metadata'],
    port: [1],
    path: false,
    database: location.database,
    user: location.user,
    pass: () => location.password,
    // Only once: what the driver asks anew is asked on a connection without our transaction and our settings.
    socket: () => {
      if (used) throw Object.assign(new Error('the connection was lost'), { code: 'LOST' });
      used = true;
      return wire;
    },
    connection: {
      application_name: 'pageseal',
      ...(location.searchPath === '' ? {} : { search_path: location.searchPath }),
    },
    parsers,
    // Values go out as the dialect wrote them.
    serializers: {},
    types: {},
    transform: { undefined: undefined, column: {}, value: {}, row: {} },
    max: 1,
    max_pipeline: Number.MAX_SAFE_INTEGER,
    prepare: true,
    debug: false,
    fetch_types: false,
    no_subscribe: true,
    // TLS, time limits and reconnecting are ours.
    ssl: false,
    sslnegotiation: null,
    target_session_attrs: null,
    idle_timeout: null,
    connect_timeout: null,
    max_lifetime: null,
    keep_alive: null,
    backoff: () => 0,
    onnotice: () => undefined,
    parameters: {},
    shared: { retries: 0, typeArrayMap: {} },
  };
  return postgres(options as unknown as postgres.Options<Record<string, never>>);
}
