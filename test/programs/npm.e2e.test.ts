// npm ci on a mount: thousands of small files, links and renames; then what was installed runs from there.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs, root } from '../harness/tools.ts';
import { ProgramVolume } from './volume.ts';

describe('npm', needs(...interopNeeds, 'npm'), () => {
  test('npm ci of this project, twice, and a program of it', async (t) => {
    const temp = makeTemp(t);
    const volume = await ProgramVolume.mount(temp);
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(root, file), join(volume.top, file));
    // The user's own cache and settings: what was fetched for the set-up is not fetched again.
    const env = { HOME: process.env['HOME'], npm_config_update_notifier: 'false' };
    const ci = (): Promise<string> =>
      volume.run('npm', ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], {
        cwd: volume.top,
        env,
      });
    await ci();
    await ci(); // takes the whole tree away first
    await volume.remount();
    const listed = await volume.run('npm', ['ls', '--all', '--parseable'], { cwd: volume.top, env });
    const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: object };
    t.diagnostic(`${listed.split('\n').length - 1} of ${Object.keys(wanted.packages).length} packages of the lock`);
    const node = join('node_modules', `node-linux-${process.arch}`, 'bin/node');
    const compiler = join(volume.top, 'node_modules/typescript/bin/tsc');
    assert.match(await volume.run(join(volume.top, node), [compiler, '--version']), /^Version \d/);
    assert.deepEqual(readFileSync(join(volume.top, node)), readFileSync(join(root, node)));
    rmSync(join(volume.top, dirname(dirname(dirname(node)))), { recursive: true });
    await volume.end();
  });
});
