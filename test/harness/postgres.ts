// A PostgreSQL server of the test's own: TLS with a certificate of the test's CA, passwords, a folder and port that go
// with the test. It refuses root, so under root it runs as nobody.
import { chmodSync, chownSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { Authority, type Certificate } from './certificates.ts';
import { connected, copyOf } from './database-copy.ts';
import type { Namespace } from './namespace.ts';
import { freePort } from './port.ts';
import { runOk, until } from './program.ts';
import { descendants, isAlive, type Temp } from './temp.ts';
import { postgresPrograms } from './tools.ts';

/** Any user but root. */
const NOBODY = 65_534;
const SUPERUSER = 'postgres';
const PASSWORD = 'test-only password';
const LOOPBACK = '127.0.0.1';
const START_TIMEOUT_S = '120';

export interface PostgresOptions {
  /** Signs the server's certificate; made for the server unless given. */
  readonly authority?: Authority;
  /** Instead of one for the address and localhost. */
  readonly certificate?: Certificate;
  /** Where it listens. */
  readonly address?: string;
  /** Instead of a free one. */
  readonly port?: number;
  /** Runs there, and listens at its address. */
  readonly inside?: Namespace;
  /** only (default): TLS or nothing. offered: both. none: the server has no TLS. */
  readonly tls?: 'only' | 'offered' | 'none';
  /** Clients must show a certificate of the authority, too. */
  readonly clientCertificates?: boolean;
  /** What is told to be on the disk is there. Off: the machine's crash would lose it, the server's own does not. */
  readonly durable?: boolean;
  /** Lines for postgresql.conf. */
  readonly settings?: readonly string[];
}

export interface Database {
  readonly name: string;
  /** For both clients. */
  readonly metaUrl: string;
}

let made = 0;

export class PostgresServer {
  readonly address: string;
  readonly authority: Authority;
  /** Of the unix socket. */
  readonly socketFolder: string;
  port = 0;
  readonly #temp: Temp;
  readonly #folder: string;
  #options: PostgresOptions;

  private constructor(temp: Temp, authority: Authority, options: PostgresOptions) {
    this.#temp = temp;
    this.#options = options;
    this.authority = authority;
    this.address = options.address ?? options.inside?.address ?? LOOPBACK;
    chmodSync(temp.path, 0o711); // the other user passes through
    this.#folder = temp.folder(`postgres-${++made}`);
    // A socket's path has 108 bytes at most.
    this.socketFolder = this.#folder;
    own(this.#folder);
    temp.beforeRemoval(() => this.stop('immediate'));
  }

  static async start(temp: Temp, options: PostgresOptions = {}): Promise<PostgresServer> {
    const authority = options.authority ?? (await Authority.make(temp));
    const server = new PostgresServer(temp, authority, options);
    const password = join(server.#folder, 'password');
    writeFileSync(password, PASSWORD);
    own(password);
    const access = ['-U', SUPERUSER, '-A', 'scram-sha-256', `--pwfile=${password}`];
    await server.#program('initdb', ['-D', server.#data, ...access, '-E', 'UTF8', '--locale=C', '--no-sync']);
    await server.#begin();
    return server;
  }

  /** A streaming replica of this server as it is now; a server of its own after `promote`. */
  async replica(elsewhere: Pick<PostgresOptions, 'inside'> = {}): Promise<PostgresServer> {
    const replica = new PostgresServer(this.#temp, this.authority, { ...this.#options, ...elsewhere });
    await replica.follow(this);
    return replica;
  }

  /** Stopped before: it forgets what it has and becomes a replica, where it was. */
  async follow(primary: PostgresServer): Promise<void> {
    rmSync(this.#data, { recursive: true, force: true });
    const from = ['-h', primary.socketFolder, '-p', String(primary.port), '-U', SUPERUSER];
    const how = ['-R', '-X', 'stream', '-c', 'fast', '--no-sync'];
    await this.#program('pg_basebackup', [...from, '-D', this.#data, ...how]);
    await this.#begin();
  }

  /** From now on it answers no commit before a replica has it, too: what was answered survives this server. */
  async waitForReplica(): Promise<void> {
    await this.sql(`ALTER SYSTEM SET synchronous_standby_names = '*'`);
    await this.sql('SELECT pg_reload_conf()');
    const states = 'SELECT sync_state FROM pg_stat_replication';
    await until('the replica to be synchronous', async () => (await this.sql(states)) === 'sync');
  }

  /** Resolves when it takes writes. */
  async promote(): Promise<void> {
    await this.#program('pg_ctl', ['-D', this.#data, '-w', '-t', START_TIMEOUT_S, 'promote']);
  }

  /** On the same port. */
  async start(): Promise<void> {
    const log = join(this.#folder, 'log');
    const started = this.#program('pg_ctl', ['-D', this.#data, '-w', '-t', START_TIMEOUT_S, '-l', log, '-s', 'start']);
    await started.catch((cause: unknown) => {
      throw new Error(`PostgreSQL did not start:\n${this.log}`, { cause });
    });
  }

  /** fast: sessions are ended and everything is written. immediate: as after a crash. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    if (this.pid === undefined) return;
    await this.#program('pg_ctl', ['-D', this.#data, '-w', '-t', START_TIMEOUT_S, '-m', mode, '-s', 'stop']);
  }

  async restart(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** The same data behind other settings, on the same port. */
  async change(options: PostgresOptions): Promise<void> {
    this.#options = { ...this.#options, ...options };
    await this.stop();
    await this.#begin();
  }

  /** kill -9 of every process of the server. */
  async kill(): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    const all = [pid, ...descendants(pid)];
    for (const one of all) if (isAlive(one)) process.kill(one, 'SIGKILL');
    await until('the killed server to be gone', () => !all.some(isAlive));
    // Until somebody has looked at the dead process, a start would take it for a running server.
    for (const lock of ['data/postmaster.pid', `.s.PGSQL.${this.port}.lock`])
      rmSync(join(this.#folder, lock), { force: true });
  }

  /** Undefined: it does not run. */
  get pid(): number | undefined {
    try {
      const pid = Number(readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n')[0]);
      return isAlive(pid) ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  /** With an owner of the same name, who has no other rights. */
  async createDatabase(name: string): Promise<Database> {
    await this.sql(`CREATE ROLE "${name}" LOGIN PASSWORD '${PASSWORD}'`);
    await this.sql(`CREATE DATABASE "${name}" OWNER "${name}"`);
    return { name, metaUrl: this.url(name) };
  }

  /** Ends who is connected to it. */
  async dropDatabase(name: string): Promise<void> {
    await this.sql(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
    await this.sql(`DROP ROLE IF EXISTS "${name}"`);
  }

  /** The metadata URL of a database for both clients: TLS, checked by the test's CA. `at` asks for it elsewhere. */
  url(name: string, options: Readonly<Record<string, string>> = {}, at = `${this.address}:${this.port}`): string {
    const all = new URLSearchParams({ sslmode: 'verify-full', sslrootcert: this.authority.file, ...options });
    return `postgres://${name}:${encodeURIComponent(PASSWORD)}@${at}/${name}?${all}`;
  }

  /** As the superuser, by psql over the unix socket; answers what it printed, fields between tabs. */
  async sql(text: string, database: string = SUPERUSER): Promise<string> {
    const where = ['-h', this.socketFolder, '-p', String(this.port), '-U', SUPERUSER, '-d', database];
    const output = await this.#program('psql', [...where, '-XqAt', '-F', '\t', '-v', 'ON_ERROR_STOP=1', '-c', text]);
    return output.trim();
  }

  /** All tables of a database as they are now, in SQLite's memory. Close it. */
  snapshot(name: string): Promise<DatabaseSync> {
    return connected(this.url(name), { path: `${this.socketFolder}/.s.PGSQL.${this.port}` }, copyOf);
  }

  /** What the server said, for messages. */
  get log(): string {
    return readFileSync(join(this.#folder, 'log'), 'utf8');
  }

  get #data(): string {
    return join(this.#folder, 'data');
  }

  async #begin(): Promise<void> {
    // In a namespace of the test's own nobody else has a port.
    if (this.port === 0)
      this.port = this.#options.port ?? (await freePort(this.#options.inside === undefined ? this.address : LOOPBACK));
    const { tls = 'only', certificate } = this.#options;
    const shown = tls === 'none' ? undefined : (certificate ?? (await this.#ownCertificate()));
    if (shown !== undefined) this.#place(shown);
    writeFileSync(join(this.#data, 'postgresql.conf'), this.#settings(shown !== undefined));
    writeFileSync(join(this.#data, 'pg_hba.conf'), this.#access());
    await this.start();
  }

  #ownCertificate(): Promise<Certificate> {
    return this.authority.server([...new Set([this.address, LOOPBACK, 'localhost'])]);
  }

  /** Its key must be the server's own and secret. */
  #place({ certificate, key }: Certificate): void {
    const files = [certificate, key, this.authority.file];
    for (const [index, name] of ['server.crt', 'server.key', 'ca.crt'].entries()) {
      const file = join(this.#folder, name);
      copyFileSync(files[index] ?? '', file);
      own(file);
      chmodSync(file, 0o600);
    }
  }

  #settings(tls: boolean): string {
    const at = (name: string): string => `'${join(this.#folder, name)}'`;
    const { durable = false, settings = [] } = this.#options;
    return [
      `listen_addresses = '${this.address}'`,
      `port = ${this.port}`,
      `unix_socket_directories = '${this.socketFolder}'`,
      'max_connections = 300',
      'shared_buffers = 64MB',
      'jit = off',
      ...(durable ? [] : ['fsync = off', 'full_page_writes = off']),
      ...(tls
        ? [
            `ssl = on`,
            `ssl_cert_file = ${at('server.crt')}`,
            `ssl_key_file = ${at('server.key')}`,
            `ssl_ca_file = ${at('ca.crt')}`,
          ]
        : ['ssl = off']),
      ...settings,
      '',
    ].join('\n');
  }

  #access(): string {
    const { tls = 'only', clientCertificates = false } = this.#options;
    const kind = tls === 'only' ? 'hostssl' : 'host';
    const rule = `scram-sha-256${clientCertificates ? ' clientcert=verify-ca' : ''}`;
    return [
      'local all all scram-sha-256',
      'local replication all scram-sha-256',
      ...['all', 'replication'].map((what) => `${kind} ${what} all all ${rule}`),
      '',
    ].join('\n');
  }

  #program(name: string, args: readonly string[]): Promise<string> {
    const env = { ...this.#temp.env, LC_ALL: 'C', PGPASSWORD: PASSWORD };
    const program = join(postgresPrograms, name);
    const nobody = ['setpriv', '--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--'];
    const before = [...(this.#options.inside?.enter ?? []), ...(isRoot() ? nobody : [])];
    const [first = program, ...rest] = [...before, program, ...args];
    return runOk(first, rest, { env, cwd: this.#folder });
  }
}

const isRoot = (): boolean => process.getuid?.() === 0;

function own(path: string): void {
  if (isRoot()) chownSync(path, NOBODY, NOBODY);
}
