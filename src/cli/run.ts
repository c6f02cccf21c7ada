// Parses the command line and runs one command; every error ends here, printed once, with its exit code. A command is a
// file with `register`; only the file of the command that was typed is loaded, so that the short ones start fast.
import { Command, CommanderError, Option } from 'commander';
import { FsError } from '../base/errors.ts';
import { exitCodeOf, exitCodes, usageExitCode } from './exit-codes.ts';
import { whyRefused } from './original-flags.ts';
import { takeSecretsFromEnvironment } from './secrets-environment.ts';

interface CommandFile {
  /** Adds the command to the program; its action imports what it needs when it runs. */
  register(program: Command): void;
}

/** To add a command: its file, and its line here. */
const commands: Readonly<Record<string, () => Promise<CommandFile>>> = {
  bench: () => import('./bench.ts'),
  clone: () => import('./clone.ts'),
  compact: () => import('./compact.ts'),
  config: () => import('./config.ts'),
  csi: () => import('./csi.ts'),
  'csi-release': () => import('./csi-release.ts'),
  destroy: () => import('./destroy.ts'),
  dump: () => import('./dump.ts'),
  encrypt: () => import('./encrypt.ts'),
  format: () => import('./format.ts'),
  fsck: () => import('./fsck.ts'),
  gc: () => import('./gc.ts'),
  info: () => import('./info.ts'),
  keeper: () => import('./keeper.ts'),
  load: () => import('./load.ts'),
  migrate: () => import('./migrate.ts'),
  mount: () => import('./mount.ts'),
  'mount-keeper': () => import('./mount-keeper.ts'),
  operator: () => import('./operator.ts'),
  quota: () => import('./quota.ts'),
  restore: () => import('./restore.ts'),
  rmr: () => import('./rmr.ts'),
  stats: () => import('./stats.ts'),
  status: () => import('./status.ts'),
  summary: () => import('./summary.ts'),
  trash: () => import('./trash.ts'),
  umount: () => import('./umount.ts'),
  version: () => import('./version.ts'),
  warmup: () => import('./warmup.ts'),
  worker: () => import('./worker.ts'),
};

const logLevels = ['error', 'warn', 'info', 'debug'] as const;

/** Runs `args` (without interpreter and script). Answers nothing: the outcome is process.exitCode. */
export async function run(args: readonly string[]): Promise<void> {
  // Here and not where it is used: no command may start a child that inherits it.
  takeSecretsFromEnvironment();
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error; // the reader of a pipe may leave early
  });
  try {
    const program = newProgram();
    // An option that stands for a command.
    const meant = args[0] === '--version' || args[0] === '-V' ? ['version', ...args.slice(1)] : [...args];
    await addCommands(program, meant);
    await program.parseAsync(meant, { from: 'user' });
  } catch (thrown) {
    process.exitCode = report(thrown, args);
  }
}

function newProgram(): Command {
  const program = new Command('pageseal')
    .description('POSIX volumes whose data is encrypted before it reaches object storage')
    .addOption(new Option('--log-level <level>', 'how much is logged to stderr').choices(logLevels).default('info'))
    .option('-v, --verbose', 'the same as --log-level debug')
    .addOption(new Option('--debug').hideHelp()) // the original client's other name for it
    .option('-q, --quiet', 'the same as --log-level warn')
    .option('-V, --version', 'print the version')
    .helpCommand(true)
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({ outputError: () => undefined }); // errors are printed by report()
  program.addHelpText('after', exitCodeHelp);
  program.hook('preAction', async () => {
    const logLevel = levelOf(program.opts<GlobalFlags>());
    if (logLevel !== 'info') (await import('../base/log.ts')).setLogLevel(logLevel);
  });
  return program;
}

interface GlobalFlags {
  readonly logLevel: (typeof logLevels)[number];
  readonly verbose?: boolean;
  readonly debug?: boolean;
  readonly quiet?: boolean;
}

function levelOf({ logLevel, verbose, debug, quiet }: GlobalFlags): GlobalFlags['logLevel'] {
  if (verbose || debug) return 'debug';
  return quiet ? 'warn' : logLevel;
}

async function addCommands(program: Command, args: readonly string[]): Promise<void> {
  // A level's value may stand before the command; `help` and typing errors need all names.
  const typed = args.find((arg, at) => Object.hasOwn(commands, arg) && args[at - 1] !== '--log-level');
  const wanted = typed !== undefined && args[0] !== 'help' ? [typed] : Object.keys(commands);
  for (const name of wanted) (await commands[name]?.())?.register(program);
}

/** Prints what was thrown and answers the exit code. */
function report(thrown: unknown, args: readonly string[]): number {
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0; // --help
    // Without a command commander has printed the help; that is still bad usage.
    if (thrown.code !== 'commander.help') {
      process.stderr.write(`pageseal: ${thrown.message.replace(/^error: /, '').replace(/\n/g, ' ')}\n`);
      process.stderr.write(`hint: ${usageHint(thrown)}\n`);
    }
    return usageExitCode;
  }
  const error = FsError.from(thrown, 'unexpected failure');
  process.stderr.write(`pageseal: ${error.message}\n`);
  if (error.hint !== undefined) process.stderr.write(`hint: ${error.hint}\n`);
  if (args.some((arg) => /^(debug|--debug|-v|--verbose)$/.test(arg)) && error.stack !== undefined)
    process.stderr.write(`${error.stack}\n`);
  return exitCodeOf(error.code);
}

function usageHint({ code, message }: CommanderError): string {
  const flag = code === 'commander.unknownOption' ? /'(-[^'=]*)/.exec(message)?.[1] : undefined;
  return (flag && whyRefused(flag)) ?? 'pageseal --help lists the commands, pageseal COMMAND --help the flags';
}

const exitCodeHelp = `
Exit codes:
${Object.entries(exitCodes)
  .map(([code, meaning]) => `  ${code}  ${meaning}`)
  .join('\n')}`;
