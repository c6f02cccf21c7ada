// A volume in PostgreSQL and S3, both over TLS and each behind proxies that fail it, mounted in the background.
import { mkdirSync, readFileSync } from 'node:fs';
import { Authority } from '../harness/certificates.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { S3Server } from '../harness/s3.ts';
import { S3Proxy } from '../harness/s3-proxy.ts';
import { TcpProxy } from '../harness/tcp-proxy.ts';
import type { Temp } from '../harness/temp.ts';

const PASSPHRASE = 'outage passphrase';
/** No commit is answered before the replica has it: what was answered survives the primary. */
const replicated = ['synchronous_commit = on', 'max_wal_senders = 4'];

export class ScaledVolume {
  readonly temp: Temp;
  readonly pageseal: Pageseal;
  readonly mountPoint: string;
  readonly database: PostgresServer;
  readonly replica: PostgresServer;
  readonly store: S3Server;
  /** The way to the database, and to the store. */
  readonly toDatabase: TcpProxy;
  readonly toStore: TcpProxy;
  /** Answers for the store. */
  readonly answers: S3Proxy;
  readonly #keyFlags: readonly string[];

  private constructor(parts: {
    temp: Temp;
    database: PostgresServer;
    replica: PostgresServer;
    store: S3Server;
    toDatabase: TcpProxy;
    toStore: TcpProxy;
    answers: S3Proxy;
    keyFile: string;
  }) {
    this.temp = parts.temp;
    this.database = parts.database;
    this.replica = parts.replica;
    this.store = parts.store;
    this.toDatabase = parts.toDatabase;
    this.toStore = parts.toStore;
    this.answers = parts.answers;
    this.#keyFlags = ['--rsa-key', parts.keyFile];
    this.pageseal = new Pageseal(parts.temp, PASSPHRASE);
    this.mountPoint = parts.temp.at('mount');
  }

  static async make(temp: Temp): Promise<ScaledVolume> {
    const authority = await Authority.make(temp);
    const [database, store, key] = await Promise.all([
      PostgresServer.start(temp, { authority, settings: replicated }),
      S3Server.start(temp, { authority }),
      makeKey(temp, 2048, 'pkcs8', PASSPHRASE),
    ]);
    const answers = await S3Proxy.start(temp, store);
    const replica = await database.replica();
    await database.sql(`ALTER SYSTEM SET synchronous_standby_names = '*'`);
    await database.sql('SELECT pg_reload_conf()');
    const toDatabase = await TcpProxy.start(temp, database);
    const toStore = await TcpProxy.start(temp, { address: '127.0.0.1', port: answers.port });
    await database.createDatabase('outage');
    store.createBucket('outage');
    const volume = new ScaledVolume({
      ...{ temp, database, replica, store, toDatabase, toStore, answers, keyFile: key.file },
    });
    const flags = [...volume.#storeFlags(), ...volume.#keyFlags, '--trash-days', '0', '--block-size', '256K'];
    await volume.pageseal.ok(['format', volume.#metaUrl, 'outage', '--storage', 'minio', ...flags]);
    return volume;
  }

  /** The primary by its proxy first, then the replica, which takes no writes before it is promoted. */
  get #metaUrl(): string {
    return this.database.url('outage', {}, `${this.toDatabase.at},${this.replica.address}:${this.replica.port}`);
  }

  #storeFlags(): string[] {
    const { accessKey, secretKey, authority } = this.store;
    const bucket = `https://${this.toStore.at}/outage`;
    return ['--bucket', bucket, '--access-key', accessKey, '--secret-key', secretKey, '--ca-bundle', authority.file];
  }

  async mount(...flags: readonly string[]): Promise<void> {
    mkdirSync(this.mountPoint, { recursive: true });
    const log = ['--log', this.logFile];
    const all = [...this.#storeFlags(), ...this.#keyFlags, ...log, ...flags];
    await this.pageseal.ok(['mount', '-d', this.#metaUrl, this.mountPoint, ...all]);
  }

  umount(): Promise<string> {
    return this.pageseal.umount(this.mountPoint);
  }

  /** Of the volume that nobody has mounted: rows, and every page. */
  async check(): Promise<void> {
    await this.pageseal.ok(['fsck', this.#metaUrl, '--deep', ...this.#storeFlags(), ...this.#keyFlags]);
  }

  gc(...flags: readonly string[]): Promise<string> {
    return this.pageseal.ok(['gc', this.#metaUrl, ...flags, ...this.#storeFlags(), ...this.#keyFlags]);
  }

  get logFile(): string {
    return `${this.mountPoint}.log`;
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** What the mount logged of failures. */
  get complaints(): string[] {
    return this.log.split('\n').filter((line) => /"level":"(error|warn)"/.test(line));
  }
}
