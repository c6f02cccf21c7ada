// Starts one PostgreSQL and one S3 server, whose certificates one CA signed; they end with the folder that they lie in.
import { Authority } from './certificates.ts';
import { PostgresServer } from './postgres.ts';
import { S3Server } from './s3.ts';
import type { Temp } from './temp.ts';

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

export async function startServers(temp: Temp): Promise<Servers> {
  const authority = await Authority.make(temp);
  const [postgres, s3] = await Promise.all([
    PostgresServer.start(temp, { authority }),
    S3Server.start(temp, { authority }),
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
