// `pageseal status`.
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';

export function register(program: Command): void {
  program.command('status').action(() => {
    throw fail('unsupported', 'status is not built yet');
  });
}
