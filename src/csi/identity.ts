// The Identity service: who this is and whether it runs.
import { createRequire } from 'node:module';
import { DRIVER_NAME } from '../config/driver.ts';
import { empty } from './messages.ts';
import { type Methods, rpc } from './unary.ts';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

export interface IdentityOptions {
  readonly controller: boolean;
  readonly embedded: boolean;
}

export function identityMethods(options: IdentityOptions): Methods {
  const services = [
    ...(options.controller ? ['CONTROLLER_SERVICE'] : []),
    // Only an embedded volume is bound to a place; everything else is reached from any node.
    ...(options.embedded ? ['VOLUME_ACCESSIBILITY_CONSTRAINTS'] : []),
  ];
  return {
    getPluginInfo: rpc({
      request: empty,
      quiet: true,
      run: async () => ({ name: DRIVER_NAME, vendorVersion: version }),
    }),
    getPluginCapabilities: rpc({
      request: empty,
      quiet: true,
      run: async () => ({
        capabilities: [
          ...services.map((type) => ({ service: { type } })),
          ...(options.controller ? [{ volumeExpansion: { type: 'ONLINE' } }] : []),
        ],
      }),
    }),
    // Of databases and stores it says nothing: an outage there must not make kubelet restart every plugin.
    probe: rpc({ request: empty, quiet: true, run: async () => ({ ready: { value: true } }) }),
  };
}
