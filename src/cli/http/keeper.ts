// What a keeper tells over HTTP: its own counters and those of its volumes' workers, each with the label `volume`.
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fail } from '../../base/errors.ts';
import type { Pages } from '../../base/http-server.ts';
import { exposition } from '../../base/metrics.ts';
import { MiB } from '../../base/units.ts';
import { connectKeeper, type Keeper } from '../../keeper/client.ts';
import type { KeeperVolume } from '../../keeper/messages.ts';
import { metricsSocketOf } from '../../keeper/metrics-socket.ts';
import { mountName } from '../../keeper/own-mounts.ts';
import { merged, type Told } from './merge.ts';

/** A worker that hangs leaves its counters out; scrapers wait for ten seconds by default. */
const WORKER_MS = 3_000;
/** Asked at the same time. */
const AT_ONCE = 16;
/** Some hundred lines are what a worker has to say. */
const MAX_TEXT = 1 * MiB;

export interface KeeperPages extends Pages {
  close(): void;
}

export function keeperPages(runDirectory: string): KeeperPages {
  let client: Keeper | undefined;
  const list = (): Promise<readonly KeeperVolume[]> => {
    client ??= connectKeeper(join(runDirectory, 'keeper.sock'));
    return client.list();
  };
  return {
    metrics: async () => merged(await exposition(), await toldBy(runDirectory, await list())),
    alive: async () => void (await list()),
    close: () => client?.close(),
  };
}

async function toldBy(runDirectory: string, volumes: readonly KeeperVolume[]): Promise<Told[]> {
  const waiting = [...volumes];
  const told: Told[] = [];
  const ask = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { volumeId, restarts } = next;
      const said = await workerSays(metricsSocketOf(runDirectory, mountName(volumeId))).catch(() => undefined);
      told.push({ volume: volumeId, restarts, said });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
  return told.sort((a, b) => (a.volume < b.volume ? -1 : 1));
}

async function workerSays(socket: string): Promise<string> {
  const connection = connect(socket);
  const end = (): void => void connection.destroy(fail('timeout', 'statistics of a mount: no answer'));
  const timer = setTimeout(end, WORKER_MS);
  connection.on('data', () => connection.bytesRead > MAX_TEXT && end());
  try {
    return await text(connection);
  } finally {
    clearTimeout(timer);
  }
}
