// A volume on one PostgreSQL and one S3 server, both over TLS, in a network of the test's own; a machine per mount.
import assert from 'node:assert/strict';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { type Namespace, Network } from '../harness/namespace.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { S3Server } from '../harness/s3.ts';
import type { Temp } from '../harness/temp.ts';

const PASSPHRASE = 'remote passphrase';
const NAME = 'remote';

export interface RemoteMount {
  readonly top: string;
  readonly machine: Namespace;
  readonly pageseal: Pageseal;
}

export interface RemoteOptions {
  readonly machines: number;
  readonly formatFlags?: readonly string[];
  readonly mountFlags?: readonly string[];
}

export class RemoteVolume {
  readonly network: Network;
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  readonly metaUrl: string;
  readonly mounts: readonly RemoteMount[];
  readonly #key: TestKey;
  readonly #juicefs: Juicefs;
  readonly #mountFlags: readonly string[];

  private constructor(
    servers: Pick<RemoteVolume, 'network' | 'postgres' | 's3' | 'metaUrl'>,
    temp: Temp,
    key: TestKey,
    mountFlags: readonly string[],
  ) {
    ({ network: this.network, postgres: this.postgres, s3: this.s3, metaUrl: this.metaUrl } = servers);
    this.#key = key;
    this.#mountFlags = mountFlags;
    this.#juicefs = new Juicefs(temp, PASSPHRASE, { SSL_CERT_FILE: this.s3.authority.file }, this.network.clients[0]);
    this.mounts = this.network.clients.map((machine, number) => ({
      top: temp.at(`mount-${number}`),
      machine,
      pageseal: new Pageseal(temp, PASSPHRASE, machine),
    }));
  }

  /** Formatted, with the key in the metadata, so that the original client is a judge too. */
  static async make(temp: Temp, { machines, formatFlags = [], mountFlags = [] }: RemoteOptions): Promise<RemoteVolume> {
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const network = await Network.make(temp, machines);
    const inside = network.servers;
    const postgres = await PostgresServer.start(temp, { inside });
    const s3 = await S3Server.start(temp, { inside, authority: postgres.authority });
    const { metaUrl } = await postgres.createDatabase(NAME);
    const volume = new RemoteVolume({ network, postgres, s3, metaUrl }, temp, key, mountFlags);
    await volume.#format(formatFlags);
    return volume;
  }

  /** The store's authority; the database's is in its URL. */
  get trust(): readonly string[] {
    return ['--ca-bundle', this.s3.authority.file];
  }

  async mountAll(): Promise<void> {
    for (const { pageseal, top } of this.mounts)
      await pageseal.mount(this.metaUrl, top, [...this.trust, ...this.#mountFlags]);
  }

  async umountAll(): Promise<void> {
    for (const { pageseal, top } of this.mounts) await pageseal.umount(top);
  }

  /** Of the volume that nobody has mounted. */
  async check(): Promise<void> {
    const [{ pageseal } = assert.fail('no machine')] = this.mounts;
    assert.match(await pageseal.ok(['fsck', this.metaUrl, '--deep', ...this.trust]), /nothing is wrong/);
    assert.deepEqual(await this.#juicefs.fsck(this.metaUrl), []);
    assert.deepEqual(await this.#juicefs.fsckTree(this.metaUrl), []);
  }

  async #format(flags: readonly string[]): Promise<void> {
    const [{ pageseal } = assert.fail('no machine')] = this.mounts;
    const { accessKey, secretKey } = this.s3;
    const store = ['--storage', 'minio', '--bucket', this.s3.createBucket(NAME)];
    const keys = ['--access-key', accessKey, '--secret-key', secretKey, '--encrypt-rsa-key', this.#key.file];
    await pageseal.ok(['format', this.metaUrl, NAME, ...store, ...keys, ...this.trust, ...flags]);
  }
}
