// `pageseal info`.
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';

export function register(program: Command): void {
  program.command('info').action(() => {
    throw fail('unsupported', 'info is not built yet');
  });
}
