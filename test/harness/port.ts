// Ports of loopback for servers that cannot be told to choose one.
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Free when asked; whoever takes it meanwhile makes the server's start fail. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  if (bound === null || typeof bound === 'string') throw new Error(`no port of ${address}`);
  return bound.port;
}
