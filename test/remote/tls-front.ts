// Ends TLS in a server's place, in ways that real servers can be told to and ours cannot: an old version, clients that
// have to prove who they are. What comes through goes on to the server, over TLS again.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TlsOptions } from 'node:tls';
import type { Certificate } from '../harness/certificates.ts';
import type { S3Server } from '../harness/s3.ts';
import type { Temp } from '../harness/temp.ts';

export interface TlsFront {
  readonly port: number;
  /** Bytes that clients said under TLS. */
  readonly heard: () => number;
}

export async function tlsFront(
  temp: Temp,
  target: S3Server,
  { certificate, key }: Certificate,
  options: TlsOptions,
): Promise<TlsFront> {
  let bytes = 0;
  const shown = { cert: readFileSync(certificate), key: readFileSync(key) };
  const front = createServer({ ...shown, ...options }, (client) => {
    const server = connect({ host: target.address, port: target.port, ca: target.authority.pem });
    client.on('data', (data) => {
      bytes += data.length;
    });
    client.on('error', () => server.destroy());
    server.on('error', () => client.destroy());
    client.pipe(server).pipe(client);
  });
  front.on('tlsClientError', () => undefined);
  front.listen(0, target.address);
  await once(front, 'listening');
  temp.beforeRemoval(async () => {
    front.close();
  });
  return { port: (front.address() as AddressInfo).port, heard: () => bytes };
}
