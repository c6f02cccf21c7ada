// `pageseal version`: of the program and of what it runs on.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';

export function register(program: Command): void {
  program
    .command('version')
    .description('print the version')
    .option('--json', 'as JSON, with the runtime')
    .action((flags: { json?: boolean }) => {
      const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
        version: string;
      };
      const node = process.version.slice(1);
      console.log(flags.json ? JSON.stringify({ version, node, arch: process.arch }) : `pageseal ${version}`);
    });
}
