// Rows and tables of a file system that a test has locked: whoever wants to change them is in the middle of that for as long
// as the test wants, and the database says that it waits.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { psql } from './psql.ts';
import type { Temp } from './temp.ts';
import { postgresPrograms } from './tools.ts';

/** With the superuser's URL. */
export interface HeldDatabase {
  readonly name: string;
  readonly superuserUrl: string;
}

export interface HeldRows {
  /** Whether a statement that has this text in it waits. */
  isAwaited(): boolean;
  /** The locks go. Of clients that were killed while they waited nothing goes on. */
  release(): Promise<void>;
}

/** `lock`: statements that take the locks; `by`: a pattern (LIKE) of the statements that will wait for them. */
export async function holdRows(
  temp: Temp,
  { name, superuserUrl }: HeldDatabase,
  lock: string,
  by: string,
): Promise<HeldRows> {
  const flags = ['-XqAt', '-v', 'ON_ERROR_STOP=1'];
  const child = spawn(join(postgresPrograms, 'psql'), [superuserUrl, ...flags], {
    env: temp.env,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit');
  // To its standard error, which it does not buffer.
  child.stdin.write(`BEGIN;\n${lock};\n\\warn held\n`);
  let said = '';
  for await (const text of child.stderr.iterator({ destroyOnReturn: false })) {
    said += text;
    if (said.endsWith('held\n')) break;
  }
  if (!said.endsWith('held\n')) throw new Error(`${lock}: ${said}`);
  const waiting = `FROM pg_stat_activity WHERE datname = '${name}' AND wait_event_type = 'Lock' AND query LIKE '${by}'`;
  return {
    isAwaited: () => Number(psql(superuserUrl, `SELECT COUNT(*) ${waiting}`)) > 0,
    release: async () => {
      // A server notices that a client is dead when it answers, and might until then do what it was told.
      psql(superuserUrl, `SELECT pg_terminate_backend(pid) ${waiting}`);
      child.stdin.end();
      await ended;
    },
  };
}
