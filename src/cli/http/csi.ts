// What a CSI process tells over HTTP. A node plugin is alive without its keeper: it holds the descriptors that the next keeper
// gets, so ending it for want of one would lose the mounts. It is not ready then.
import type { Pages } from '../../base/http-server.ts';
import { exposition } from '../../base/metrics.ts';
import { reachable } from './socket.ts';

/** `keeperSocket`: of modes that serve a node. */
export function csiPages(socket: string, keeperSocket: string | undefined): Pages {
  const alive = (): Promise<void> => reachable('csi', socket);
  return {
    metrics: exposition,
    alive,
    ready: async () => {
      await alive();
      if (keeperSocket !== undefined) await reachable('keeper', keeperSocket);
    },
  };
}
