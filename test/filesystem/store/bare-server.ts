// An HTTPS server that answers as it is told, for what no S3 server shows: which headers came, and answers of other services.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import type { TlsOptions } from 'node:tls';
import type { Certificate } from '../../harness/certificates.ts';

export interface BareRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export interface BareServer {
  readonly url: string;
  readonly requests: readonly BareRequest[];
}

/** Without `body` every request is answered 200 and nothing. Ends with the file. */
export async function bareServer(
  { certificate, key }: Certificate,
  options: TlsOptions = {},
  body: (request: BareRequest) => string = () => '',
): Promise<BareServer> {
  const requests: BareRequest[] = [];
  const files = { cert: readFileSync(certificate), key: readFileSync(key) };
  const server = createServer({ ...files, ...options }, ({ method = '', url = '', headers }, response) => {
    requests.push({ method, url, headers });
    response.end(body({ method, url, headers }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}
