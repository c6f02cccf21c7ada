// A mount's counters for whoever may open the socket (root): one connection, one answer in Prometheus' text format, no
// request. Lies in a folder that nobody else can look into.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { FsError } from '../base/errors.ts';
import { log } from '../base/log.ts';

/** Who does not read its answer for so long is let go. */
const IDLE_MS = 10_000;
/** Asked at the same time: more are turned away, so that nobody holds up a worker by asking. */
const MAX_CONNECTIONS = 8;

/** Of a volume that a keeper mounts, by the volume's name in its run directory. */
export const metricsSocketOf = (runDirectory: string, name: string): string =>
  join(runDirectory, 'metrics', `${name}.sock`);

export class MetricsSocket {
  readonly #path: string;
  readonly #server: Server;

  /** A mount does not fail for want of it. */
  constructor(path: string, metrics: () => Promise<string>) {
    this.#path = path;
    this.#server = createServer((socket) => void answer(socket, metrics));
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('error', (error) => log.warn('no statistics of the mount', { socket: path, error: error.message }));
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      rmSync(path, { force: true });
      this.#server.listen(path, () => chmodSync(path, 0o600));
      this.#server.unref();
    } catch (error) {
      log.warn('no statistics of the mount', { socket: path, error: FsError.from(error).message });
    }
  }

  close(): void {
    this.#server.close(); // removes the socket
    rmSync(this.#path, { force: true });
  }
}

async function answer(socket: Socket, metrics: () => Promise<string>): Promise<void> {
  socket.on('error', () => undefined);
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  try {
    socket.end(await metrics());
  } catch (error) {
    log.debug('statistics of a mount were asked for in vain', { error: FsError.from(error).message });
    socket.destroy();
  }
}
