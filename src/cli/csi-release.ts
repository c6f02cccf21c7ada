// `pageseal csi-release`: before the controller is uninstalled, or after its finalizer on Secrets was switched off.
import type { Command } from 'commander';

interface Flags {
  readonly namespace: string;
  readonly record?: string;
  readonly all?: boolean;
  readonly kubeconfig?: string;
}

export function register(program: Command): void {
  program
    .command('csi-release')
    .description('take the finalizer off the Secrets that volumes are deleted with')
    .option('--namespace <name>', 'of the controller', 'pageseal-system')
    .option('--record <name>', 'ConfigMap there that notes which Secrets have it, where it is still there')
    .option('--all', 'look at every Secret of the cluster, which takes the right to list them')
    .option('--kubeconfig <file>', "how to reach the API server (default: the pod's service account, or KUBECONFIG)")
    .action(async ({ namespace, record, all, kubeconfig }: Flags) => {
      const { releaseSecrets } = await import('../csi/secret-finalizer/release.ts');
      const released = await releaseSecrets({ namespace, record, all: all === true, kubeconfig });
      process.stdout.write(`released ${released} Secrets; what is in them stays\n`);
    });
}
