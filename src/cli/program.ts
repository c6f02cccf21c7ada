// How this program starts itself again: the same Node, the same entry (compiled or not), the same log level.
import { realpathSync } from 'node:fs';
import { logLevel } from '../base/log.ts';
import type { Program } from '../keeper/worker-process.ts';

export function thisProgram(): Program {
  const entry = realpathSync(process.argv[1] ?? '');
  const options = ['--disable-sigusr1', '--disable-warning=ExperimentalWarning'];
  return { file: process.execPath, args: [...options, entry, '--log-level', logLevel()] };
}
