// The process of Relay: it runs in the network that has the addresses, and ends with the test's folder.
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import type { RelayPlan } from './relay.ts';

const { addresses, ports, target, notes } = JSON.parse(process.argv[2] ?? '') as RelayPlan;

function carry(client: Socket, port: number): void {
  const server = connect(port, target);
  client.pipe(server).pipe(client);
  client.on('error', () => server.destroy());
  server.on('error', () => client.destroy());
}

for (const address of addresses)
  for (const port of ports) {
    const server = createServer((client) => {
      appendFileSync(notes, `${address} ${port}\n`);
      carry(client, port);
    });
    await once(server.listen(port, address), 'listening');
  }
process.stdout.write('listening\n');
