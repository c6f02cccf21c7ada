// A mount that must be refused: the command says why, with its exit code; no mount, no process and no record of one stays,
// and neither metadata nor objects are altered.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { readRecord } from '../../src/cli/mount/record.ts';
import { Pageseal } from '../harness/pageseal.ts';
import type { Temp } from '../harness/temp.ts';
import { digest } from './attacked-volume.ts';

export interface Refusal {
  readonly exitCode: number;
  readonly says: RegExp;
  readonly hint?: RegExp;
}

export interface Attempt {
  readonly metaUrl: string;
  readonly flags: readonly string[];
  readonly passphrase?: string | undefined;
  /** Files that may not change by a bit. */
  readonly untouched: readonly string[];
}

let attempts = 0;

export async function mustRefuse(temp: Temp, attempt: Attempt, refusal: Refusal): Promise<void> {
  const mountPoint = temp.at(`refused-${++attempts}`);
  mkdirSync(mountPoint);
  const before = attempt.untouched.map(stateOf);
  const args = ['mount', '-d', attempt.metaUrl, mountPoint, '--log', `${mountPoint}.log`, ...attempt.flags];
  const { code, stdout, stderr } = await new Pageseal(temp, attempt.passphrase).run(args);
  const said = `exit ${code}\n${stdout}${stderr}`;
  assert.equal(code, refusal.exitCode, said);
  assert.match(stderr, refusal.says);
  if (refusal.hint !== undefined) assert.match(stderr, refusal.hint);
  // One line of error and one of hint: no stack, nothing unexpected.
  assert.doesNotMatch(stderr, /unexpected|\n\s+at /);
  assert(!temp.mounts().includes(mountPoint));
  assert.equal(readRecord(mountPoint), undefined);
  assert.deepEqual(attempt.untouched.map(stateOf), before);
}

/** Looking into a database leaves an empty log beside it. */
const stateOf = (file: string): string => digest(existsSync(file) ? readFileSync(file) : '');
