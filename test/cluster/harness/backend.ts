// A database and a bucket of a test's own on the servers beside the cluster, as a Secret names them; both go with the test.
// Tests look at the objects as bytes and ask the database.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { psql } from '../../harness/psql.ts';
import type { ClusterServers } from '../testbed/servers.ts';
import type { Cluster } from './cluster.ts';

/** Replaced by a file system's own name in Secrets of classes. */
export const FILE_SYSTEM = `\${fs}`;
/** Where versitygw keeps uploads that are under way. */
const OWN_FOLDER = '.sgwtmp/';

export class Backend {
  readonly name: string;
  readonly #servers: ClusterServers;

  private constructor(servers: ClusterServers, name: string) {
    this.#servers = servers;
    this.name = name;
  }

  static make(cluster: Cluster, owner: { after(hook: () => void): void } = { after }): Backend {
    const backend = new Backend(cluster.servers, `t${randomBytes(6).toString('hex')}`);
    const { name } = backend;
    backend.sqlAsRoot(`CREATE ROLE ${name} LOGIN PASSWORD '${cluster.servers.password}'`);
    backend.sqlAsRoot(`CREATE DATABASE ${name} OWNER ${name}`);
    mkdirSync(backend.#folder);
    owner.after(() => {
      backend.sqlAsRoot(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      backend.sqlAsRoot(`DROP ROLE IF EXISTS ${name}`);
      rmSync(backend.#folder, { recursive: true, force: true });
    });
    return backend;
  }

  /** With the password; `schema` may be the placeholder. */
  metaUrl(schema = 'public'): string {
    const { postgres, password } = this.#servers;
    return `postgres://${this.name}:${encodeURIComponent(password)}@${postgres}/${this.name}?search_path=${schema}`;
  }

  /** The connection as a Secret says it; each file system has its own schema and prefix unless `fileSystem` names one. */
  secret(fileSystem = FILE_SYSTEM): Record<string, string> {
    const { accessKey, secretKey } = this.#servers;
    return {
      name: fileSystem,
      metaurl: this.metaUrl(fileSystem),
      storage: 's3',
      bucket: this.bucket,
      'access-key': accessKey,
      'secret-key': secretKey,
      'ca-bundle': this.authority,
    };
  }

  get bucket(): string {
    return `${this.#servers.endpoint}/${this.name}`;
  }

  /** PEM text. */
  get authority(): string {
    return readFileSync(this.#servers.authority, 'utf8');
  }

  /** Keys of the objects. */
  objects(): string[] {
    return readdirSync(this.#folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(this.#folder.length + 1))
      .filter((key) => !key.startsWith(OWN_FOLDER))
      .sort();
  }

  object(key: string): Buffer {
    return readFileSync(join(this.#folder, key));
  }

  /** Keys of objects in which a text stands as it is. */
  objectsWith(text: string): string[] {
    return this.objects().filter((key) => this.object(key).includes(text));
  }

  /** In the test's database, as the superuser; a line per row. */
  sql(text: string): string {
    return psql(this.superuserUrl, text);
  }

  /** Of the test's database, from the host. */
  get superuserUrl(): string {
    return this.#servers.superuser.replace('@/postgres?', `@/${this.name}?`);
  }

  /** Schemas of file systems that are there. */
  schemas(): string[] {
    return this.sql(`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pvc-%' ORDER BY 1`)
      .split('\n')
      .filter(Boolean);
  }

  sqlAsRoot(text: string): string {
    return psql(this.#servers.superuser, text);
  }

  get #folder(): string {
    return join(this.#servers.buckets, this.name);
  }
}
