// Between a client and PostgreSQL: says that the server has no TLS, hopes that the client goes on without, and reads along.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { PostgresServer } from '../harness/postgres.ts';
import type { Temp } from '../harness/temp.ts';

/** The protocol's SSLRequest. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

export interface Strip {
  readonly port: number;
  /** What clients said after they were told so. */
  readonly heard: () => string;
}

export async function stripTls(temp: Temp, target: PostgresServer): Promise<Strip> {
  const heard: Buffer[] = [];
  const server = createServer((client) => {
    const onward = connect(target.port, target.address);
    client.on('error', () => onward.destroy());
    onward.on('error', () => client.destroy());
    client.on('close', () => onward.destroy());
    client.on('data', (data: Buffer) => {
      if (data.equals(SSL_REQUEST)) {
        client.write('N');
        return;
      }
      heard.push(data);
      onward.write(data);
    });
    onward.pipe(client);
  });
  server.listen(0, target.address);
  await once(server, 'listening');
  temp.beforeRemoval(async () => {
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, heard: () => Buffer.concat(heard).toString('latin1') };
}
