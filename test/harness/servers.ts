// One PostgreSQL and one S3 server for many tests: those that `npm test` has started for the whole run, else ones of this
// process that end with its tests. As a program: starts them, prints how they are reached, and ends with its input.
import { after } from 'node:test';
import { Authority } from './certificates.ts';
import { PostgresServer } from './postgres.ts';
import { S3Server } from './s3.ts';
import { Temp } from './temp.ts';

/** As handed on to the test files of a run. */
export interface Servers {
  /** URL of the superuser. */
  readonly postgres: string;
  /** PEM file of the CA that signed both. */
  readonly authority: string;
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** A folder per bucket. */
  readonly buckets: string;
}

let own: Promise<Servers> | undefined;
let temp: Temp | undefined;

export function sharedServers(): Promise<Servers> {
  const given = process.env['PAGESEAL_SERVERS'];
  own ??= given === undefined ? startServers() : Promise.resolve(JSON.parse(given) as Servers);
  return own;
}

async function startServers(): Promise<Servers> {
  const where = new Temp();
  temp = where;
  const authority = await Authority.make(where);
  const [postgres, s3] = await Promise.all([
    PostgresServer.start(where, { authority }),
    S3Server.start(where, { authority }),
  ]);
  const { endpoint, accessKey, secretKey, folder } = s3;
  return {
    postgres: postgres.url('postgres'),
    authority: authority.file,
    endpoint,
    accessKey,
    secretKey,
    buckets: folder,
  };
}

if (import.meta.main) {
  process.stdout.write(`${JSON.stringify(await sharedServers())}\n`);
  process.stdin.resume().once('end', () => void temp?.remove());
} else {
  after(() => temp?.remove());
}
