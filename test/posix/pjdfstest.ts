// pjdfstest, run on a directory: which of its cases passed, failed, and were skipped.
import { writeFileSync } from 'node:fs';
import { run } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { pjdfstestProgram } from '../harness/tools.ts';

export type Verdict = 'ok' | 'FAILED' | 'skipped';

/** By name of the case. */
export type Verdicts = ReadonlyMap<string, Verdict>;

export const withVerdict = (verdicts: Verdicts, wanted: Verdict): string[] =>
  [...verdicts].flatMap(([name, verdict]) => (verdict === wanted ? [name] : [])).sort();

export const counts = (verdicts: Verdicts): string =>
  (['ok', 'FAILED', 'skipped'] as const).map((one) => `${withVerdict(verdicts, one).length} ${one}`).join(', ');

/** Two users that every Debian has; cases change to them. */
const USERS = '[["nobody", "nogroup"], ["daemon", "daemon"]]';

export interface SuitePart {
  /** Cases whose names have it; all when absent. */
  readonly only?: string;
  /** Their file system may be made read-only for a moment; cases that need it are skipped otherwise. */
  readonly remount: boolean;
}

/**
 * All cases that need no remount, and then those that do: the suite leaves an unlinked file open behind, and a file system
 * with one is not made read-only.
 */
export async function runPjdfstest(temp: Temp, directory: string): Promise<Verdicts> {
  const most = await runPart(temp, directory, { remount: false });
  const rest = await runPart(temp, directory, { only: 'erofs', remount: true });
  return new Map([...most, ...rest]);
}

export async function runPart(temp: Temp, directory: string, { only, remount }: SuitePart): Promise<Verdicts> {
  const config = temp.at(`pjdfstest-${remount}.toml`);
  const features = ['posix_fallocate', 'rename_ctime', 'utime_now', 'utimensat'].map((name) => `${name} = {}\n`);
  writeFileSync(
    config,
    `[features]\n${features.join('')}[settings]\nnaptime = 0.01\nallow_remount = ${remount}\n` +
      `[dummy_auth]\nentries = ${USERS}\n`,
  );
  const args = ['-c', config, '-p', directory, '-s', '/dev/shm', ...(only === undefined ? [] : [only])];
  const { code, stdout, stderr } = await run(pjdfstestProgram, args, {
    env: { ...temp.env, NO_COLOR: '1', RUST_BACKTRACE: '0' },
    timeoutMs: 300_000,
  });
  const verdicts = new Map<string, Verdict>();
  for (const [, name = '', verdict = ''] of stdout.matchAll(/^(\S+) +(ok|FAILED|skipped)$/gm))
    verdicts.set(name, verdict as Verdict);
  if (verdicts.size === 0 || !/^Summary: /m.test(stdout))
    throw new Error(`pjdfstest on ${directory}: exit ${code}, no summary\n${stdout.slice(-2000)}${stderr}`);
  return verdicts;
}
