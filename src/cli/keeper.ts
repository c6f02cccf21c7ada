// `pageseal keeper`: the process of a node that owns its mounts.
import { realpathSync } from 'node:fs';
import type { Command } from 'commander';
import type { Program } from '../keeper/worker-process.ts';

/** How this program is started again: the same Node, the same entry. */
export function thisProgram(): Program {
  const entry = realpathSync(process.argv[1] ?? '');
  return { file: process.execPath, args: ['--disable-sigusr1', '--disable-warning=ExperimentalWarning', entry] };
}

interface Flags {
  readonly runDirectory: string;
  readonly kubeletDirectory: string;
}

export function register(program: Command): void {
  program
    .command('keeper')
    .description('own the mounts of a node: start, supervise and replace the worker of each volume')
    .option('--run-directory <dir>', 'socket, lock and the keeper\'s own mounts', '/run/pageseal')
    .option('--kubelet-directory <dir>', 'only paths below it are staged and published', '/var/lib/kubelet')
    .action(async (flags: Flags) => {
      const { runKeeper } = await import('../keeper/daemon.ts');
      await runKeeper({ ...flags, program: thisProgram() });
    });
}
