// `pageseal operator`: works on declared file systems and on the taint of nodes, until it is told to end.
import type { Command } from 'commander';
import { exposition } from '../base/metrics.ts';
import { parseEndpoints } from '../config/endpoints.ts';
import { authoritiesOption } from './authorities-option.ts';
import { httpAddressOption, watch } from './http/option.ts';

interface Flags {
  readonly namespace: string;
  readonly leaseName: string;
  readonly kubeconfig?: string;
  readonly allowedEndpoints: string;
  readonly ambientCredentials?: boolean;
  readonly caFile?: string;
  readonly httpAddress?: string;
}

export function register(program: Command): void {
  const operator = program
    .command('operator')
    .description('make, encrypt and remove the file systems that FileSystem objects declare')
    .requiredOption('--namespace <name>', 'of the lease and of the keepers')
    .option('--lease-name <name>', 'Lease by which one of several operators works', 'pageseal-operator')
    .option('--kubeconfig <file>', "how to reach the API server (default: the pod's service account, or KUBECONFIG)")
    .option(
      '--allowed-endpoints <list>',
      'databases and stores that Secrets may name: hosts, *.domains, networks, each with or without :port, separated by commas; all but this machine and its link where empty',
      '',
    )
    .option('--ambient-credentials', 'use credentials of the machine for stores where a Secret brings none')
    .addOption(authoritiesOption())
    .addOption(httpAddressOption())
    .action(async (flags: Flags) => {
      const { runOperator } = await import('../operator/run.ts');
      const { namespace, leaseName, kubeconfig, caFile } = flags;
      if (caFile !== undefined) (await import('../connection/authorities.ts')).trustAuthorities(caFile);
      const rules = {
        endpoints: parseEndpoints(flags.allowedEndpoints),
        ambientCredentials: flags.ambientCredentials === true,
      };
      // Its own end is what tells that it does not work: nothing else does.
      const watched = await watch(flags.httpAddress, { metrics: exposition, alive: async () => undefined });
      const end = new AbortController();
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => end.abort());
      try {
        await runOperator({ namespace, leaseName, kubeconfig, rules }, end.signal);
      } finally {
        await watched.close();
      }
    });
  operator
    .command('release')
    .description('take the finalizers off all FileSystem objects, before the operator is uninstalled')
    .action(async (_: unknown, command: Command) => {
      const { releaseFileSystems } = await import('../operator/release.ts');
      const { namespace, leaseName, kubeconfig } = command.optsWithGlobals<Flags>();
      const released = await releaseFileSystems({ namespace, leaseName, kubeconfig });
      process.stdout.write(`released ${released} file systems; what is in them stays\n`);
    });
}
