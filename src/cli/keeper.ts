// `pageseal keeper`: the process of a node that owns its mounts.
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { authoritiesOption } from './authorities-option.ts';
import { httpAddressOption, watchIfPossible } from './http/option.ts';
import { thisProgram } from './program.ts';
import { parseCount } from './sizes.ts';

interface Flags {
  readonly runDirectory: string;
  readonly kubeletDirectory: string;
  readonly handOver?: boolean;
  readonly recoveryDeadline: string;
  readonly caFile?: string;
  readonly httpAddress?: string;
}

/** Callers that wait cannot be killed. */
const LONGEST_DEADLINE_S = 3600;

function secondsOf(text: string): number {
  const seconds = Number(parseCount('--recovery-deadline', text));
  if (seconds >= 1 && seconds <= LONGEST_DEADLINE_S) return seconds;
  throw fail('bad-input', `--recovery-deadline ${text}: wanted 1 to ${LONGEST_DEADLINE_S} seconds`);
}

export function register(program: Command): void {
  program
    .command('keeper')
    .description('own the mounts of a node: start, supervise and replace the worker of each volume')
    .option('--run-directory <dir>', "socket, lock and the keeper's own mounts", '/run/pageseal')
    .option('--kubelet-directory <dir>', 'only paths below it are staged and published', '/var/lib/kubelet')
    .option(
      '--hand-over',
      'leave the mounts to the next keeper, by way of the node plugin, which holds their descriptors',
    )
    .option(
      '--recovery-deadline <seconds>',
      'how long callers wait for a worker or keeper before they get an error',
      '120',
    )
    .addOption(authoritiesOption())
    .addOption(httpAddressOption())
    .action(async ({ httpAddress, handOver = false, recoveryDeadline, ...flags }: Flags) => {
      const recoveryDeadlineMs = 1000 * secondsOf(recoveryDeadline);
      const { runKeeper } = await import('../keeper/daemon.ts');
      const { keeperPages } = await import('./http/keeper.ts');
      const pages = keeperPages(flags.runDirectory);
      const watched = await watchIfPossible(httpAddress, pages);
      // Said by who starts a worker, so that it holds for mounts of an earlier version, too.
      const program = { ...thisProgram(), remoteOnly: true };
      await runKeeper({ ...flags, handOver, recoveryDeadlineMs, program });
      pages.close();
      await watched.close();
    });
}
