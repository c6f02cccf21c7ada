// A PostgreSQL and an S3 server beside the cluster, over TLS, at the names that the examples use: no DNS is there, so pods
// know the names by hostAliases.
import { Authority } from '../../harness/certificates.ts';
import { type PostgresOptions, PostgresServer } from '../../harness/postgres.ts';
import { type S3Options, S3Server } from '../../harness/s3.ts';
import type { Temp } from '../../harness/temp.ts';
import { SERVERS_ADDRESS, serversNetwork } from './machine.ts';

export const POSTGRES_NAME = 'postgres.example.com';
export const S3_NAME = 's3.example.com';
const POSTGRES_PORT = 5432;
const S3_PORT = 443;

/** Names that lead to the machine that looks them up, and to its cloud's metadata service. */
export const LOOPBACK_NAME = 'loopback.here.example.com';
export const METADATA_NAME = 'metadata.here.example.com';

/** For the chart's values. */
export const hostAliases = [
  { ip: SERVERS_ADDRESS, hostnames: [POSTGRES_NAME, S3_NAME] },
  { ip: '127.0.0.1', hostnames: [LOOPBACK_NAME] },
  { ip: '169.254.169.254', hostnames: [METADATA_NAME] },
];

/** As handed on to the test files of a run. */
export interface ClusterServers {
  /** The superuser's URL over a unix socket, for tests on the host. */
  readonly superuser: string;
  /** As pods see it: NAME:PORT. */
  readonly postgres: string;
  /** Of the superuser and of all roles that tests make. */
  readonly password: string;
  /** PEM file of the CA that signed both. */
  readonly authority: string;
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** A folder per bucket, on the host. */
  readonly buckets: string;
}

export async function startServers(temp: Temp, machine: number): Promise<ClusterServers> {
  const authority = await Authority.make(temp);
  const inside = serversNetwork(temp, machine);
  const named = async (name: string, port: number): Promise<PostgresOptions & S3Options> => {
    const certificate = await authority.server([name, SERVERS_ADDRESS]);
    return { authority, inside, certificate, port };
  };
  const [postgres, s3] = await Promise.all([
    named(POSTGRES_NAME, POSTGRES_PORT).then((options) => PostgresServer.start(temp, options)),
    named(S3_NAME, S3_PORT).then((options) => S3Server.start(temp, options)),
  ]);
  const { accessKey, secretKey, folder } = s3;
  const password = decodeURIComponent(new URL(postgres.url('postgres')).password);
  const socket = new URLSearchParams({ host: postgres.socketFolder, port: String(POSTGRES_PORT) });
  return {
    superuser: `postgres://postgres:${encodeURIComponent(password)}@/postgres?${socket}`,
    postgres: `${POSTGRES_NAME}:${POSTGRES_PORT}`,
    password,
    authority: authority.file,
    endpoint: `https://${S3_NAME}`,
    accessKey,
    secretKey,
    buckets: folder,
  };
}
