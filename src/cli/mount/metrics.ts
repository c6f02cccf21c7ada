// Asks a mount for its counters: over the socket beside its record, or in the run directory of the keeper that made it.
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { fail } from '../../base/errors.ts';
import { metricsSocketOf as socketOfKeeper } from '../../keeper/metrics-socket.ts';
import { ownMountAt } from '../../keeper/own-mounts.ts';
import { wholeMounts } from './locate.ts';
import { metricsSocketOf } from './record.ts';

/** A worker that hangs is not waited for. */
const DEADLINE_MS = 10_000;

/** Values by name, with the labels as they are written: `name{label="value"}`. */
export type Metrics = ReadonlyMap<string, number>;

/** The socket of the mount that `path` is on. */
export function findSocket(path: string): string {
  const found = wholeMounts(path)
    .flatMap((place) => {
      const { runDirectory, name } = ownMountAt(place);
      return [metricsSocketOf(place), socketOfKeeper(runDirectory, name)];
    })
    .find((socket) => existsSync(socket));
  if (found === undefined)
    throw fail('not-found', `statistics of ${path}: whoever mounted it offers none here`, {
      hint: 'ask as root, where the mount was made',
    });
  return found;
}

export async function readMetrics(socket: string): Promise<Metrics> {
  const connection = connect(socket);
  connection.setTimeout(DEADLINE_MS, () => connection.destroy(new Error('no answer')));
  let said: string;
  try {
    said = await text(connection);
  } catch (cause) {
    throw fail('failed-precondition', `statistics from ${socket}: ${(cause as Error).message}`, {
      cause,
      hint: 'the mount is gone, or its process is being replaced',
    });
  }
  return parseMetrics(said);
}

export function parseMetrics(said: string): Metrics {
  const values = new Map<string, number>();
  for (const line of said.split('\n')) {
    const [, name, value] = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? [];
    if (name !== undefined) values.set(name, Number(value));
  }
  return values;
}
