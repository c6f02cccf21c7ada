// A database and a bucket of a test's own on servers that it shares with others; both go with the test's folder.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type postgres from 'postgres';
import type { StoreSettings } from '../../src/filesystem/store/store.ts';
import { type Client, connected, copyOf } from './database-copy.ts';
import type { Place, Value } from './place.ts';
import { runOk } from './program.ts';
import type { Servers } from './start-servers.ts';
import type { Temp } from './temp.ts';
import { postgresPrograms } from './tools.ts';

export class ScaledPlace implements Place {
  readonly metaUrl: string;
  readonly store: StoreSettings;
  readonly objects: string;
  readonly #authority: string;

  private constructor(servers: Servers, name: string) {
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
    const sql = async (...commands: readonly string[]): Promise<void> => {
      const psql = [servers.postgres, '-Xq', '-v', 'ON_ERROR_STOP=1', ...commands.flatMap((text) => ['-c', text])];
      await runOk(join(postgresPrograms, 'psql'), psql, { env: temp.env });
    };
    const place = new ScaledPlace(servers, name);
    const password = decodeURIComponent(new URL(servers.postgres).password);
    await sql(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`, `CREATE DATABASE ${name} OWNER ${name}`);
    mkdirSync(place.objects);
    temp.beforeRemoval(async () => {
      rmSync(place.objects, { recursive: true, force: true });
      await sql(`DROP DATABASE ${name} WITH (FORCE)`, `DROP ROLE ${name}`);
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

  #connected<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return connected(this.metaUrl, { ssl: { ca: this.#authority } }, work);
  }
}
