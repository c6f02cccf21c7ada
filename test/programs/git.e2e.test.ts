// git on a mount: clone, checkout, fsck and gc of a repository of thousands of files, some of them large.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs, root } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { ProgramVolume } from './volume.ts';

/** Of a few thousand small and some large files; each becomes a commit. */
const packages = ['node_modules/typescript', 'node_modules/@types', 'node_modules/zod', 'src', 'test'];
const more = ['node_modules/@grpc', 'node_modules/fast-check', 'node_modules/@biomejs', 'node_modules/winston', 'docs'];

describe('git', needs(...interopNeeds, 'git'), () => {
  test('clone, fsck, gc and a new checkout', async (t) => {
    const temp = makeTemp(t);
    const volume = await ProgramVolume.mount(temp);
    const git = (...args: string[]): Promise<string> =>
      volume.run('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', '-c', 'gc.auto=0', ...args]);
    const origin = temp.folder('origin');
    await git('init', '-q', '-b', 'main', origin);
    for (const name of sizes.wholeRepository ? [...packages, ...more] : packages) {
      cpSync(join(root, name), join(origin, name), { recursive: true, dereference: true });
      await git('-C', origin, 'add', '-A', '-f');
      await git('-C', origin, 'commit', '-q', '-m', name);
    }
    const listing = await git('-C', origin, 'ls-tree', '-r', 'HEAD');
    const clone = join(volume.top, 'clone');
    await git('clone', '-q', '--no-local', origin, clone);
    await git('-C', clone, 'fsck', '--full', '--strict');
    assert.equal(await git('-C', clone, 'status', '--porcelain'), '');
    await git('-C', clone, 'checkout', '-q', 'HEAD~2');
    await git('-C', clone, 'checkout', '-q', 'main');
    await git('-C', clone, 'gc', '-q', '--aggressive', '--prune=now');
    await volume.remount();
    await git('-C', clone, 'fsck', '--full', '--strict');
    assert.equal(await git('-C', clone, 'ls-tree', '-r', 'HEAD'), listing);
    assert.equal(await git('-C', clone, 'status', '--porcelain'), '');
    t.diagnostic(`${listing.split('\n').length - 1} files`);
    await volume.end();
  });
});
