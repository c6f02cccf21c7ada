// `pageseal csi`: the gRPC servers that a kubelet and the CSI sidecars call.

import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { DEFAULT_KEEPER_SOCKET, DEFAULT_KUBELET_DIRECTORY } from '../config/driver.ts';
import { parseEndpoints } from '../config/endpoints.ts';
import { authoritiesOption } from './authorities-option.ts';
import { httpAddressOption, watch } from './http/option.ts';

interface Flags {
  readonly mode: 'controller' | 'node' | 'all';
  readonly endpoint: string;
  readonly nodeId: string;
  readonly keeperSocket: string;
  readonly kubeletDirectory: string;
  readonly stateDirectory?: string;
  readonly embeddedDirectory?: string;
  readonly allowedEndpoints: string;
  readonly ambientCredentials?: boolean;
  readonly caFile?: string;
  readonly selinuxLabel?: string;
  readonly kube?: boolean;
  readonly secretFinalizer?: string;
  readonly httpAddress?: string;
}

export function register(program: Command): void {
  program
    .command('csi')
    .description('serve the Container Storage Interface on a unix socket')
    .addOption(
      new Option('--mode <mode>', 'which services').choices(['controller', 'node', 'all']).makeOptionMandatory(),
    )
    .requiredOption('--endpoint <url>', 'unix:///absolute/path of the socket')
    .option('--node-id <id>', 'name of this node', '')
    .option('--keeper-socket <path>', 'socket of the keeper', DEFAULT_KEEPER_SOCKET)
    .option('--kubelet-directory <path>', 'where the kubelet keeps pods and plugins', DEFAULT_KUBELET_DIRECTORY)
    .option('--state-directory <path>', "where the node service keeps its state (default: 'state' beside the socket)")
    .option('--embedded-directory <path>', 'embedded mode: databases and objects of all volumes, on this node')
    .option(
      '--allowed-endpoints <list>',
      'databases and stores that Secrets may name: hosts, *.domains, networks, each with or without :port, separated by commas; all but this machine and its link where empty',
      '',
    )
    .option('--ambient-credentials', "use the node's own credentials for stores where a Secret brings none")
    .addOption(authoritiesOption())
    .option(
      '--selinux-label <label>',
      'of mounts on nodes that have SELinux, unless the kubelet asks for another: system_u:object_r:container_file_t:s0',
    )
    .option('--kube', "use the pod's service account: Events, and the declared file systems of StorageClasses")
    .option(
      '--secret-finalizer <configmap>',
      "put a finalizer on the Secrets that volumes are deleted with, noted in this ConfigMap of the pod's namespace; needs --kube",
    )
    .addOption(httpAddressOption())
    .action(async (flags: Flags) => {
      const { startCsi } = await import('../csi/run.ts');
      const { socketOf } = await import('../csi/server.ts');
      const { csiPages } = await import('./http/csi.ts');
      if (flags.caFile !== undefined) (await import('../connection/authorities.ts')).trustAuthorities(flags.caFile);
      const running = await startCsi({
        mode: flags.mode,
        endpoint: flags.endpoint,
        nodeId: flags.nodeId,
        keeperSocket: resolve(flags.keeperSocket),
        kubeletDirectory: resolve(flags.kubeletDirectory),
        stateDirectory: flags.stateDirectory,
        endpoints: parseEndpoints(flags.allowedEndpoints),
        ambientCredentials: flags.ambientCredentials === true,
        embedded: flags.embeddedDirectory === undefined ? undefined : realDirectory(flags.embeddedDirectory),
        selinuxLabel: flags.selinuxLabel,
        kube: flags.kube === true ? await (await import('../kube/connect.ts')).connectKube() : undefined,
        secretFinalizer: flags.secretFinalizer,
      });
      const keeperSocket = flags.mode === 'controller' ? undefined : resolve(flags.keeperSocket);
      const watched = await watch(flags.httpAddress, csiPages(socketOf(flags.endpoint), keeperSocket));
      await toldToEnd();
      await watched.close();
      await running.close();
    });
}

/** Links on the way to the directory are the administrator's; below it none is followed. */
function realDirectory(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw fail('bad-input', '--embedded-directory: cannot be opened', { cause });
  }
}

function toldToEnd(): Promise<void> {
  return new Promise((done) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => done());
  });
}
