// `pageseal mount-keeper`: the keeper of one background mount. Started by `pageseal mount -d`, never by hand.
import type { Command } from 'commander';

export function register(program: Command): void {
  program.command('mount-keeper', { hidden: true }).action(async () => {
    const { keepOneMount } = await import('./mount/background.ts');
    await keepOneMount();
  });
}
