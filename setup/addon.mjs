// Compiles src/native/*.c against the headers of the pinned Node package: no node-gyp, nothing fetched. Plain JavaScript
// for Node 20. Skips when the sources have not changed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'src/native');
const include = join(root, 'node_modules', `node-linux-${process.arch}`, 'include/node');
const target = join(root, 'build/pageseal.node');
const stamp = `${target}.key`;

export function buildAddon(say = () => {}) {
  const files = readdirSync(sources)
    .filter((name) => name.endsWith('.c'))
    .sort();
  const hash = createHash('sha256').update(include);
  for (const name of readdirSync(sources)
    .filter((n) => /\.[ch]$/.test(n))
    .sort())
    hash.update(readFileSync(join(sources, name)));
  const key = hash.digest('hex');
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return;
  say('compiling the native addon');
  mkdirSync(dirname(target), { recursive: true });
  const out = `${target}.${process.pid}`;
  const flags = ['-std=gnu11', '-O2', '-g', '-fPIC', '-shared', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'];
  const defines = ['-DNODE_GYP_MODULE_NAME=pageseal', '-DBUILDING_NODE_EXTENSION', '-D_GNU_SOURCE'];
  execFileSync(
    process.env.CC ?? 'cc',
    [...flags, ...defines, `-I${include}`, '-o', out, ...files.map((n) => join(sources, n))],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  renameSync(out, target);
  writeFileSync(stamp, key);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildAddon((text) => console.error(text));
