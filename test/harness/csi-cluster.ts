// Nodes as machines of a network of the test's own, each with keeper and CSI processes, and one PostgreSQL and one S3 server
// that all of them see. Secrets never lead a node to itself, so the servers have a machine of their own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { FILE_SYSTEM_PLACEHOLDER } from '../../src/config/secret-names.ts';
import { CsiNode } from './csi-node.ts';
import type { ImageRoot } from './image-root.ts';
import { makeKey, publicHalf } from './keys.ts';
import { Network } from './namespace.ts';
import { PostgresServer } from './postgres.ts';
import { S3Server } from './s3.ts';
import type { Temp } from './temp.ts';

export const DATABASE = 'cluster';
export const BUCKET = 'volumes';
const PASSPHRASE = 'passphrase of the cluster';

export type SecretData = Readonly<Record<string, string>>;

export class CsiCluster {
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  readonly nodes: readonly CsiNode[];
  /** Secrets that name everything: of who makes volumes, and of nodes. */
  readonly provisioner: SecretData;
  readonly node: SecretData;

  private constructor(parts: Pick<CsiCluster, 'postgres' | 's3' | 'nodes' | 'provisioner' | 'node'>) {
    ({
      postgres: this.postgres,
      s3: this.s3,
      nodes: this.nodes,
      provisioner: this.provisioner,
      node: this.node,
    } = parts);
  }

  /** Started, from `image` where it is given. Each volume has a schema of its own; the database wants client certificates. */
  static async make(temp: Temp, nodeCount: number, image?: ImageRoot): Promise<CsiCluster> {
    const network = await Network.make(temp, nodeCount);
    const inside = network.servers;
    const postgres = await PostgresServer.start(temp, { inside, clientCertificates: true });
    const s3 = await S3Server.start(temp, { inside, authority: postgres.authority });
    await postgres.createDatabase(DATABASE);
    s3.createBucket(BUCKET);
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const connection = await connectionOf(postgres, s3);
    const endpoints = [postgres, s3].map(({ address, port }) => `${address}:${port}`).join();
    for (let number = 0; number < nodeCount; number++) await image?.share(temp.folder(`node-${number}`));
    const nodes = network.clients.map(({ enter }, number) => {
      const at = (...parts: string[]): string => temp.at(`node-${number}`, ...parts);
      const inImage = image && { env: image.env, enter: [...enter, ...image.enter], program: image.program };
      const place = { env: temp.env, at, enter, ...inImage };
      return new CsiNode(place, ['--allowed-endpoints', endpoints, '--node-id', `node-${number}`]);
    });
    temp.beforeRemoval(async () => {
      for (const node of nodes) await node.stop();
    });
    await Promise.all(nodes.map((node) => node.start()));
    const provisioner = { ...connection, 'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8') };
    return new CsiCluster({
      ...{ postgres, s3, nodes, provisioner, node: { ...connection, 'rsa-key': readFileSync(key.file, 'utf8') } },
    });
  }

  get first(): CsiNode {
    return this.nodes[0] ?? assert.fail('no node');
  }

  /** Of the database's user. */
  get password(): string {
    return decodeURIComponent(new URL(this.postgres.url(DATABASE)).password);
  }

  /** Of volumes that are there. */
  async schemas(): Promise<string[]> {
    const names = await this.postgres.sql(`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pvc-%'`, DATABASE);
    return names.split('\n').filter((name) => name !== '');
  }
}

async function connectionOf(postgres: PostgresServer, s3: S3Server): Promise<SecretData> {
  const url = new URL(postgres.url(DATABASE));
  const client = await postgres.authority.client(DATABASE);
  return {
    name: FILE_SYSTEM_PLACEHOLDER,
    metaurl: `postgres://${DATABASE}@${url.host}/${DATABASE}?search_path=${FILE_SYSTEM_PLACEHOLDER}`,
    envs: JSON.stringify({ META_PASSWORD: decodeURIComponent(url.password), JFS_RSA_PASSPHRASE: PASSPHRASE }),
    storage: 'minio',
    bucket: s3.url(BUCKET),
    'access-key': s3.accessKey,
    'secret-key': s3.secretKey,
    'ca-bundle': postgres.authority.pem,
    'client-certificate': readFileSync(client.certificate, 'utf8'),
    'client-key': readFileSync(client.key, 'utf8'),
  };
}
