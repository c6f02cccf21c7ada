// Parses the command line and runs one command; errors end here, printed once, with their exit code.
import { FsError } from '../base/errors.ts';

export async function run(argv: readonly string[]): Promise<void> {
  const error = new FsError('bad-input', `unknown command: ${argv[2] ?? ''}`);
  process.stderr.write(`pageseal: ${error.message}\n`);
  process.exitCode = 2;
}
