// `pageseal keeper`: the process of a node that owns its mounts.
import type { Command } from 'commander';
import { httpAddressOption, watchIfPossible } from './http/option.ts';
import { thisProgram } from './program.ts';

interface Flags {
  readonly runDirectory: string;
  readonly kubeletDirectory: string;
  readonly httpAddress?: string;
}

export function register(program: Command): void {
  program
    .command('keeper')
    .description('own the mounts of a node: start, supervise and replace the worker of each volume')
    .option('--run-directory <dir>', "socket, lock and the keeper's own mounts", '/run/pageseal')
    .option('--kubelet-directory <dir>', 'only paths below it are staged and published', '/var/lib/kubelet')
    .addOption(httpAddressOption())
    .action(async ({ httpAddress, ...flags }: Flags) => {
      const { runKeeper } = await import('../keeper/daemon.ts');
      const { keeperPages } = await import('./http/keeper.ts');
      const pages = keeperPages(flags.runDirectory);
      const watched = await watchIfPossible(httpAddress, pages);
      await runKeeper({ ...flags, program: thisProgram() });
      pages.close();
      await watched.close();
    });
}
