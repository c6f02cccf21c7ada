// `pageseal fsck`.
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';

export function register(program: Command): void {
  program.command('fsck').action(() => {
    throw fail('unsupported', 'fsck is not built yet');
  });
}
