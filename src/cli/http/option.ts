// --http-address: where a process tells its counters and whether it works.
import { Option } from 'commander';
import { FsError } from '../../base/errors.ts';
import type { Pages } from '../../base/http-server.ts';
import { log } from '../../base/log.ts';

export const httpAddressOption = (): Option =>
  new Option('--http-address <host:port>', 'serve /metrics, /healthz and /readyz there; none where left out');

export interface Watched {
  close(): Promise<void>;
}

/** Does nothing without an address, and loads nothing then. */
export async function watch(address: string | undefined, pages: Pages): Promise<Watched> {
  if (address === undefined) return { close: async () => undefined };
  const { parseHttpAddress, serveHttp } = await import('../../base/http-server.ts');
  return serveHttp(parseHttpAddress(address), pages);
}

/** For a process that others cannot do without: it works unwatched rather than not at all where the port is taken. */
export async function watchIfPossible(address: string | undefined, pages: Pages): Promise<Watched> {
  if (address === undefined) return { close: async () => undefined };
  const { parseHttpAddress, serveHttp } = await import('../../base/http-server.ts');
  const wanted = parseHttpAddress(address);
  try {
    return await serveHttp(wanted, pages);
  } catch (error) {
    log.warn('nobody can watch this process', { error: FsError.from(error).message });
    return { close: async () => undefined };
  }
}
