// Short commands start fast because they load little: what is loaded is counted here, what it takes is in BENCHMARKS.md.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { runOk } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { root } from '../harness/tools.ts';

/** main.ts, run.ts, the command's own file, errors, a few small ones, and commander. */
const MOST_MODULES = 20;

const count = `
import { registerHooks } from 'node:module';
const loaded = [];
registerHooks({
  load(url, context, next) {
    if (url.startsWith('file:')) loaded.push(url);
    return next(url, context);
  },
});
process.on('exit', () => console.log(JSON.stringify(loaded)));
`;

interface Loaded {
  readonly output: string;
  readonly files: readonly string[];
  readonly packages: readonly string[];
}

async function loadedBy(temp: Temp, ...args: readonly string[]): Promise<Loaded> {
  const hook = temp.at('count.mjs');
  writeFileSync(hook, count);
  const all = ['--import', pathToFileURL(hook).href, ...args];
  const lines = (await runOk(process.execPath, all, { env: temp.env })).trimEnd().split('\n');
  const urls = JSON.parse(lines.at(-1) ?? '[]') as string[];
  const files = urls.map((url) => url.slice(pathToFileURL(root).href.length));
  const packages = files.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
  return { output: lines.slice(0, -1).join('\n'), files, packages: [...new Set(packages)] };
}

test('version loads the command line and nothing behind it', async (t) => {
  const { output, files, packages } = await loadedBy(makeTemp(t), join(root, 'src/main.ts'), 'version');
  assert.match(output, /^pageseal \d/);
  assert.ok(files.includes('src/main.ts'), files.join());
  assert.deepEqual(packages, ['commander']);
  assert.ok(files.length <= MOST_MODULES, files.join('\n'));
});

test('who mounts, and who keeps the mount, load nothing that checks what others hand over', async (t) => {
  const file = 'src/cli/mount/background.ts';
  const { files, packages } = await loadedBy(makeTemp(t), join(root, file));
  assert.ok(files.includes(file), files.join());
  assert.ok(!packages.includes('zod'), packages.join());
});
