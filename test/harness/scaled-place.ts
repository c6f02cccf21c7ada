// A database and a bucket of a test's own on servers that it shares with others; both go with the test's folder.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type postgres from 'postgres';
import type { StoreSettings } from '../../src/filesystem/store/store.ts';
import { type Client, connected, copyOf } from './database-copy.ts';
import type { Place, Value } from './place.ts';
import { runOk, until } from './program.ts';
import type { Servers } from './start-servers.ts';
import type { Temp } from './temp.ts';
import { postgresPrograms } from './tools.ts';

/** For the transaction that asks. */
const WAITING = 'SELECT pid FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid';

export class ScaledPlace implements Place {
  readonly metaUrl: string;
  readonly store: StoreSettings;
  readonly objects: string;
  readonly #authority: string;
  readonly #temp: Temp;
  readonly #superuser: string;
  readonly #name: string;

  private constructor(temp: Temp, servers: Servers, name: string) {
    this.#temp = temp;
    this.#superuser = servers.postgres;
    this.#name = name;
    const url = new URL(servers.postgres);
    url.username = name;
    url.pathname = `/${name}`;
    this.metaUrl = url.href;
    this.#authority = readFileSync(servers.authority, 'utf8');
    const { accessKey, secretKey } = servers;
    const bucket = `${servers.endpoint}/${name}`;
    this.store = { storage: 'minio', bucket, accessKey, secretKey };
    this.objects = `${join(servers.buckets, name)}/`;
  }

  static async make(temp: Temp, servers: Servers): Promise<ScaledPlace> {
    const name = `t${randomBytes(8).toString('hex')}`;
    const place = new ScaledPlace(temp, servers, name);
    const password = decodeURIComponent(new URL(servers.postgres).password);
    await place.#sql(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`, `CREATE DATABASE ${name} OWNER ${name}`);
    mkdirSync(place.objects);
    temp.beforeRemoval(async () => {
      rmSync(place.objects, { recursive: true, force: true });
      const databases = [name, place.#kept].map((one) => `DROP DATABASE IF EXISTS ${one} WITH (FORCE)`);
      await place.#sql(...databases, `DROP ROLE ${name}`);
    });
    // What the test starts, and what of it runs in this process.
    for (const env of [temp.env, process.env]) env['SSL_CERT_FILE'] = servers.authority;
    // For commands that find the database by a path on a mount, whose record keeps no secret.
    temp.env['META_PASSWORD'] = password;
    return place;
  }

  get storeFlags(): readonly string[] {
    const { storage, bucket, accessKey = '', secretKey = '' } = this.store;
    return ['--storage', storage, '--bucket', bucket, '--access-key', accessKey, '--secret-key', secretKey];
  }

  snapshot(): Promise<DatabaseSync> {
    return this.#connected((client) => copyOf(client));
  }

  async change(statement: string, ...values: readonly Value[]): Promise<void> {
    let count = 0;
    const numbered = statement.replaceAll('?', () => `$${++count}`);
    await this.#connected((client) => client.unsafe(numbered, [...values] as postgres.ParameterOrJSON<never>[]));
  }

  whileLocked<T>(statement: string, work: (stuck: () => Promise<void>) => Promise<T>): Promise<T> {
    return this.#connected(async (client) => {
      const session = await client.reserve();
      await session.unsafe(`BEGIN; ${statement}`);
      const waiting = async (): Promise<boolean> => (await session.unsafe(WAITING)).length > 0;
      try {
        return await work(() => until('somebody to wait for the lock', waiting));
      } finally {
        await session.unsafe('ROLLBACK');
        session.release();
      }
    });
  }

  async keep(): Promise<void> {
    await this.#sql(this.#copyOf(this.#name, this.#kept));
    await this.#copyObjects(this.objects, this.#keptObjects);
  }

  async goBack(): Promise<void> {
    await this.#sql(`DROP DATABASE ${this.#name} WITH (FORCE)`, this.#copyOf(this.#kept, this.#name));
    await this.#copyObjects(this.#keptObjects, this.objects);
  }

  async quiet(ports: ReadonlySet<number>): Promise<void> {
    const sessions = `SELECT count(*) FROM pg_stat_activity WHERE datname = '${this.#name}'`;
    await until('the database to have ended the sessions', async () => Number(await this.#sql(sessions)) === 0);
    const store = Number(new URL(this.store.bucket).port);
    await until('the store to have ended the connections', () => !isConnected(store, ports));
  }

  get #kept(): string {
    return `${this.#name}_kept`;
  }

  get #keptObjects(): string {
    return this.#temp.at(this.#kept);
  }

  /** Nobody may be connected to the one it is a copy of; the server waits for who is just leaving. */
  #copyOf(from: string, to: string): string {
    return `CREATE DATABASE ${to} OWNER ${this.#name} TEMPLATE ${from}`;
  }

  /** The server keeps what it knows of an object in attributes of its file. */
  async #copyObjects(from: string, to: string): Promise<void> {
    rmSync(to, { recursive: true, force: true });
    await runOk('cp', ['-aT', from, to]);
  }

  #sql(...commands: readonly string[]): Promise<string> {
    const psql = [this.#superuser, '-XqAt', '-v', 'ON_ERROR_STOP=1', ...commands.flatMap((text) => ['-c', text])];
    return runOk(join(postgresPrograms, 'psql'), psql, { env: this.#temp.env });
  }

  #connected<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return connected(this.metaUrl, { ssl: { ca: this.#authority } }, work);
  }
}

/** Whether a server at that port of this machine has not yet closed a connection with one of the clients' ports. */
function isConnected(server: number, clients: ReadonlySet<number>): boolean {
  const ends = /: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) 0[18] /g; // established, or closed by the client
  const portOf = (text = ''): number => Number.parseInt(text, 16);
  for (const [, own, other] of readFileSync('/proc/net/tcp', 'utf8').matchAll(ends))
    if (portOf(own) === server && clients.has(portOf(other))) return true;
  return false;
}
