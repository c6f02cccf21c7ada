// `pageseal format`.
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';

export function register(program: Command): void {
  program.command('format').action(() => {
    throw fail('unsupported', 'format is not built yet');
  });
}
