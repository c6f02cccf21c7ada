// Which of a location's hosts a connection goes to: the one that takes writes. It is asked first the next time, so that a
// dead one is not waited for again and again.
import { type ConnectionOptions, PostgresConnection, type Role, troubleOfOpening } from './postgres-connection.ts';
import type { PostgresHost, PostgresLocation } from './postgres-url.ts';

const lastGood = new WeakMap<PostgresLocation, PostgresHost>();

/** Who only reads takes a standby when there is nothing else: what it shows may be a little old. */
export async function connectToAny(
  location: PostgresLocation,
  options: ConnectionOptions,
): Promise<PostgresConnection> {
  const { hosts } = location;
  if (!options.readOnly || hosts.length === 1)
    return connectAs(location, options, options.readOnly ? 'any' : 'primary');
  try {
    return await connectAs(location, options, 'primary');
  } catch {
    return connectAs(location, options, 'any');
  }
}

async function connectAs(
  location: PostgresLocation,
  options: ConnectionOptions,
  role: Role,
): Promise<PostgresConnection> {
  const first = lastGood.get(location);
  const hosts = first === undefined ? location.hosts : [first, ...location.hosts.filter((host) => host !== first)];
  let failure: unknown;
  for (const host of hosts) {
    try {
      const connection = await PostgresConnection.open(location, host, options, role);
      if (role === 'primary') lastGood.set(location, host);
      return connection;
    } catch (thrown) {
      // What trying again may mend is told rather than what it does not.
      if (failure === undefined || troubleOfOpening(thrown)?.kind === 'connection') failure = thrown;
    }
  }
  throw failure;
}
