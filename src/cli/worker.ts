// `pageseal worker`: the process that serves one volume. Started by a keeper, never by hand.
import type { Command } from 'commander';

export function register(program: Command): void {
  program
    .command('worker', { hidden: true })
    .option('--remote-only')
    .action(async (options: { readonly remoteOnly?: boolean }) => {
      const { runWorker } = await import('./worker/run.ts');
      await runWorker(options);
    });
}
