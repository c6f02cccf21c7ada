// The command line as a user meets it: exit codes, one line per error, a hint, no command that answers bad usage with 0.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { domainCodes, errnoCodes } from '../../src/base/errors.ts';
import { exitCodeOf, exitCodes } from '../../src/cli/exit-codes.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { run } from '../harness/program.ts';

test('every error has an explained exit code, and none is success', () => {
  for (const code of [...errnoCodes, ...domainCodes]) {
    assert.ok(exitCodeOf(code) in exitCodes);
    assert.notEqual(exitCodeOf(code), 0, code);
  }
});

const badUsage: readonly (readonly [args: string[], said: RegExp])[] = [
  [['fromat'], /unknown command 'fromat'/],
  [['status'], /missing required argument 'META-URL'/],
  [['version', '--nope'], /unknown option '--nope'/],
  [['--log-level', 'loud', 'version'], /argument 'loud' is invalid/],
  [['status', 'redis://localhost'], /metadata engine redis/],
];

for (const [args, said] of badUsage)
  test(`bad usage is refused: ${args.join(' ')}`, async () => {
    const { code, stdout, stderr } = await run(pagesealProgram, args);
    assert.ok(code === 2 || code === 8, `exit ${code}`);
    assert.match(stderr, said);
    assert.match(stderr, /^pageseal: .*\nhint: .*\n$/);
    assert.equal(stdout, '');
  });

test('a flag of the original client that is not there says why', async () => {
  for (const [args, why] of [
    [['mount', '--writeback', 'sqlite3:///x.db', '/mnt'], /hint: .*no write-back/],
    [['format', '--force', 'sqlite3:///x.db', 'x'], /hint: a volume is never overwritten/],
    [['status', '--session', '1', 'sqlite3:///x.db'], /hint: status lists every session/],
  ] as const) {
    const { code, stderr } = await run(pagesealProgram, args);
    assert.equal(code, 2);
    assert.match(stderr, why);
  }
});

test('tuning of the original client is accepted, and said to have no effect', async () => {
  const tuned = ['--open-cache', '0', '--readdir-cache', '--no-usage-report', '--cache-dir=/nowhere'];
  const { code, stderr } = await run(pagesealProgram, ['mount', ...tuned, 'sqlite3:///nowhere/x.db', '/proc/self']);
  assert.notEqual(code, 2, stderr);
  assert.match(stderr, /^pageseal: --open-cache has no effect here\n.*--readdir-cache .*\n.*--cache-dir .*\n/);
  assert.doesNotMatch(stderr, /usage-report/);
});

test('no command is bad usage too', async () => {
  assert.equal((await run(pagesealProgram, [])).code, 2);
});

test('version starts without loading the rest', async () => {
  const { code, stdout } = await run(pagesealProgram, ['version', '--json']);
  assert.equal(code, 0);
  assert.match((JSON.parse(stdout) as { version: string }).version, /^\d+\.\d+\.\d+$/);
});

test('--version is the version', async () => {
  const { code, stdout } = await run(pagesealProgram, ['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /^pageseal \d+\.\d+\.\d+\n$/);
});

test('help explains the exit codes', async () => {
  const { code, stdout } = await run(pagesealProgram, ['--help']);
  assert.equal(code, 0);
  for (const meaning of Object.values(exitCodes)) assert.ok(stdout.includes(meaning));
});

test('a volume that is not there is said in one line', async () => {
  const { code, stderr } = await run(pagesealProgram, ['status', 'sqlite3:///nowhere/at/all.db']);
  assert.notEqual(code, 0);
  assert.match(stderr, /^pageseal: .*nowhere.*\n/);
  assert.doesNotMatch(stderr, /\n\s+at /);
});
