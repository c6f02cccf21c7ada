// Short commands start fast because they load little: what is loaded is counted here, what it takes is in BENCHMARKS.md.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
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

test('version loads the command line and nothing behind it', async (t) => {
  const temp = makeTemp(t);
  const hook = temp.at('count.mjs');
  writeFileSync(hook, count);
  const args = ['--import', pathToFileURL(hook).href, join(root, 'src/main.ts'), 'version'];
  const [version, list = '[]'] = (await runOk(process.execPath, args, { env: temp.env })).split('\n');
  assert.match(version ?? '', /^pageseal \d/);
  const loaded = (JSON.parse(list) as string[]).map((url) => url.slice(pathToFileURL(root).href.length));
  assert.ok(loaded.includes('src/main.ts'), loaded.join());
  const packages = loaded.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
  assert.deepEqual([...new Set(packages)], ['commander']);
  assert.ok(loaded.length <= MOST_MODULES, loaded.join('\n'));
});
