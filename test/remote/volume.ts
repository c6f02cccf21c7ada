// A volume on one PostgreSQL and one S3 server in a network of the test's own, a machine per mount. All connections are
// TLS, except where a test needs to see what clear text would show: there everything is on one machine's loopback.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { type Namespace, Network } from '../harness/namespace.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { S3Server } from '../harness/s3.ts';
import type { Temp } from '../harness/temp.ts';
import { violationsOf } from '../model/invariants.ts';

export const PASSPHRASE = 'passphrase of the remote volume';
export const NAME = 'remote';
const LOOPBACK = '127.0.0.1';

export interface RemoteMount {
  readonly top: string;
  readonly machine: Namespace;
  readonly pageseal: Pageseal;
}

export interface RemoteOptions {
  readonly machines: number;
  /** No TLS, no key, and the machine is the servers' own. */
  readonly clear?: boolean;
  readonly mountFlags?: readonly string[];
}

export class RemoteVolume {
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  readonly metaUrl: string;
  readonly network: Network;
  readonly mounts: readonly RemoteMount[];
  readonly #temp: Temp;
  readonly #options: Omit<RemoteOptions, 'machines'>;

  constructor(
    temp: Temp,
    { network, postgres, s3, metaUrl }: Pick<RemoteVolume, 'network' | 'postgres' | 's3' | 'metaUrl'>,
    machines: readonly Namespace[],
    options: Omit<RemoteOptions, 'machines'> = {},
  ) {
    this.network = network;
    this.postgres = postgres;
    this.s3 = s3;
    this.metaUrl = metaUrl;
    this.#temp = temp;
    this.#options = options;
    this.mounts = machines.map((machine, number) => ({
      top: temp.at(`mount-${number}`),
      machine,
      pageseal: new Pageseal(temp, options.clear ? undefined : PASSPHRASE, machine),
    }));
  }

  /** With servers of its own; not formatted yet. */
  static async make(temp: Temp, options: RemoteOptions): Promise<RemoteVolume> {
    const { machines, clear = false } = options;
    const network = await Network.make(temp, clear ? 0 : machines);
    const where = { inside: network.servers, ...(clear && { address: LOOPBACK }) };
    const postgres = await PostgresServer.start(temp, { ...where, tls: clear ? 'none' : 'only' });
    const s3 = await S3Server.start(temp, { ...where, authority: postgres.authority, tls: !clear });
    await postgres.createDatabase(NAME);
    const metaUrl = postgres.url(NAME, clear ? { sslmode: 'disable' } : {});
    return new RemoteVolume(
      temp,
      { network, postgres, s3, metaUrl },
      clear ? [network.servers] : network.clients,
      options,
    );
  }

  /** With the key in the metadata, so that the original client is a judge too. */
  async format(flags: readonly string[] = []): Promise<void> {
    const { accessKey, secretKey } = this.s3;
    const store = ['--storage', 'minio', '--bucket', this.s3.createBucket(NAME)];
    const credentials = ['--access-key', accessKey, '--secret-key', secretKey];
    const { file } = await makeKey(this.#temp, 2048, 'pkcs8', PASSPHRASE);
    const key = this.#options.clear ? [] : ['--encrypt-rsa-key', file];
    await this.#first.ok(['format', this.metaUrl, NAME, ...store, ...credentials, ...key, ...this.reach, ...flags]);
  }

  /** How the store is spoken to; all about the database is in its URL. */
  get reach(): readonly string[] {
    return this.#options.clear ? ['--allow-insecure-loopback'] : ['--ca-bundle', this.s3.authority.file];
  }

  async mountAll(): Promise<void> {
    for (const { pageseal, top } of this.mounts)
      await pageseal.mount(this.metaUrl, top, [...this.reach, ...(this.#options.mountFlags ?? [])]);
  }

  async umountAll(): Promise<void> {
    for (const { pageseal, top } of this.mounts) await pageseal.umount(top);
  }

  /** What the mounts had to complain of, for messages. */
  get complaints(): string {
    const all = this.mounts.flatMap(({ top }) => readFileSync(`${top}.log`, 'utf8').split('\n'));
    return all.filter((line) => /"level":"(error|warn)"/.test(line)).join('\n');
  }

  /** Of the volume that nobody has mounted, by both clients and by the invariants of its rows. */
  async check(): Promise<void> {
    assert.deepEqual(violationsOf(await this.postgres.snapshot(NAME)), []);
    assert.match(await this.#first.ok(['fsck', this.metaUrl, '--deep', ...this.reach]), /nothing is wrong/);
    const trust = { SSL_CERT_FILE: this.s3.authority.file };
    const juicefs = new Juicefs(this.#temp, PASSPHRASE, trust, this.mounts[0]?.machine);
    assert.deepEqual(await juicefs.fsck(this.metaUrl), []);
    assert.deepEqual(await juicefs.fsckTree(this.metaUrl), []);
  }

  get #first(): Pageseal {
    return this.mounts[0]?.pageseal ?? assert.fail('no machine');
  }
}
