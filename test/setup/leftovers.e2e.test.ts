// The test run itself: what tests leave behind is named, taken away, and fails the run; a clean run ends with the
// runner's own lines.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { type Outcome, run } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';

const tests = JSON.stringify(join(root, 'setup/tests.mjs'));

/**
 * A run looks for what is left on the whole machine, and takes it away. Here others run beside it, whose mounts and
 * processes come and go: it sees its own only, and namespaces of networks that are nobody's.
 */
const ALONE = [
  ...['--mount', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c'],
  'if [ -d /run/netns ]; then mount -t tmpfs own /run/netns || exit 99; fi; "$@"; exit $?',
  'sh',
];

const MOUNTS = "textOf('/proc/self/mountinfo')";

/** Runs one test file with this body as `npm test` would; `after` is looked at when the run has ended, in the same place. */
async function runTests(temp: Temp, body: string, after = 'undefined'): Promise<Outcome & { readonly seen: unknown }> {
  const file = temp.at('inner.test.mjs');
  const head = `import { test } from 'node:test';
    import { mkdirSync, openSync, writeFileSync } from 'node:fs';
    import { tmpdir } from 'node:os';
    import { join } from 'node:path';
    import { execFileSync, spawn } from 'node:child_process';`;
  writeFileSync(file, `${head}\ntest('inner', () => {${body}});\n`);
  const program = `import { runTests } from ${tests};
    import { existsSync, readFileSync, writeFileSync } from 'node:fs';
    process.env.RUNNER = String(process.pid);
    const textOf = (file) => existsSync(file) ? readFileSync(file, 'utf8') : '';
    const isRunning = (pid) => /^State:\t[^Z]/m.test(textOf('/proc/' + pid + '/status'));
    process.exitCode = await runTests({ files: [${JSON.stringify(file)}], long: false });
    writeFileSync(${JSON.stringify(temp.at('seen'))}, JSON.stringify(${after}) ?? '');`;
  const inner = [process.execPath, '--input-type=module', '--eval', program];
  const outcome = await run('unshare', [...ALONE, ...inner], { env: temp.env });
  const seen = existsSync(temp.at('seen')) ? readFileSync(temp.at('seen'), 'utf8') : '';
  return { ...outcome, seen: seen === '' ? undefined : JSON.parse(seen) };
}

suite('the test run', needs('root'), () => {
  test('a clean run ends well, with the lines of the runner last', async (t) => {
    const { code, stdout, stderr } = await runTests(makeTemp(t), '');
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /pass 1\n[\s\S]*duration_ms [\d.]+\s*$/);
    assert.equal(stderr, '');
  });

  test('a failing test fails the run', async (t) => {
    const { code, stdout } = await runTests(makeTemp(t), "throw new Error('wrong')");
    assert.equal(code, 1);
    assert.match(stdout, /fail 1\n/);
  });

  test('a folder that stays fails the run and goes', async (t) => {
    const temp = makeTemp(t);
    const where = JSON.stringify(temp.at('where'));
    const body = `mkdirSync(join(tmpdir(), 'pageseal-left')); writeFileSync(${where}, tmpdir());`;
    const { code, stderr, seen } = await runTests(temp, body, `existsSync(textOf(${where}))`);
    assert.equal(code, 1);
    assert.match(stderr, /the tests left behind:\n {2}folder .*pageseal-left/);
    assert.equal(seen, false);
  });

  test('a process that stays fails the run and ends', async (t) => {
    const temp = makeTemp(t);
    const pid = JSON.stringify(temp.at('pid'));
    const body = `const c = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
      c.unref(); writeFileSync(${pid}, String(c.pid));`;
    const { code, stderr, seen } = await runTests(temp, body, `isRunning(textOf(${pid}))`);
    assert.equal(code, 1);
    assert.match(stderr, /process \d+ \(sleep 600\)/);
    assert.equal(seen, false);
  });

  test('a program of ours that stays without an environment fails the run and ends', async (t) => {
    const temp = makeTemp(t);
    const pid = JSON.stringify(temp.at('pid'));
    const body = `const log = openSync(join(tmpdir(), 'log'), 'w');
      const env = { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' };
      const options = { detached: true, env, cwd: '/', stdio: ['ignore', log, log] };
      const c = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600000)'], options);
      c.unref(); writeFileSync(${pid}, String(c.pid));`;
    const { code, stderr, seen } = await runTests(temp, body, `isRunning(textOf(${pid}))`);
    assert.equal(code, 1);
    assert.match(stderr, /process \d+ \(.*setTimeout/);
    assert.equal(seen, false);
  });

  test('a control group of a cluster that is gone fails the run and goes', async (t) => {
    const group = `/sys/fs/cgroup/${existsSync('/sys/fs/cgroup/pids') ? 'pids/' : ''}pageseal-run-${process.pid}`;
    const { code, stderr } = await runTests(makeTemp(t), `mkdirSync('${group}/pod', { recursive: true });`);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`folder ${group}`));
    assert.ok(!existsSync(group));
  });

  test('a record of a mount that is gone fails the run and goes', async (t) => {
    const file = `/run/pageseal-test-${process.pid}/x.json`;
    t.after(() => rmSync(dirname(file), { recursive: true, force: true }));
    const body = `mkdirSync(${JSON.stringify(dirname(file))});
      writeFileSync(${JSON.stringify(file)}, JSON.stringify({ mountPoint: join(tmpdir(), 'm') }));`;
    const { code, stderr } = await runTests(makeTemp(t), body);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`file ${file}`));
    assert.ok(!existsSync(file));
  });

  test('interrupted twice, it still takes everything away', async (t) => {
    const temp = makeTemp(t);
    const where = JSON.stringify(temp.at('where'));
    const body = `const p = join(tmpdir(), 'm'); mkdirSync(p); execFileSync('mount', ['-t', 'tmpfs', 'left', p]);
      writeFileSync(${where}, p);
      for (let i = 0; i < 2; i++) process.kill(Number(process.env.RUNNER), 'SIGINT');
      return new Promise((resolve) => setTimeout(resolve, 60_000));`;
    const { code, seen } = await runTests(temp, body, `existsSync(textOf(${where}))`);
    assert.equal(code, 1);
    assert.equal(seen, false);
    assert.ok(!existsSync(dirname(readFileSync(temp.at('where'), 'utf8'))));
  });

  test('a mount that stays fails the run and goes', async (t) => {
    const body = `const p = join(tmpdir(), 'm'); mkdirSync(p); execFileSync('mount', ['-t', 'tmpfs', 'left', p]);`;
    const { code, stderr, seen } = await runTests(makeTemp(t), body, MOUNTS);
    assert.equal(code, 1);
    assert.match(stderr, /mount \S+\/m\n/);
    assert.doesNotMatch(String(seen), / left rw/);
  });

  test("a mount of somebody else's that appears meanwhile is left alone", async (t) => {
    const place = `/run/pageseal-elsewhere-${process.pid}`;
    t.after(() => rmSync(place, { recursive: true, force: true }));
    const body = `const p = ${JSON.stringify(place)}; mkdirSync(p); execFileSync('mount', ['-t', 'tmpfs', 'other', p]);`;
    const { code, stderr, seen } = await runTests(makeTemp(t), body, MOUNTS);
    assert.equal(code, 0, stderr);
    assert.ok(String(seen).includes(` ${place} `));
  });
});
