// Compiles src/ to dist/: what the keeper and background workers run (stripping types at run time costs memory). Skipped
// when the sources have not changed. bin/pageseal takes dist/ only while no source is newer than dist/.key.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAddon } from './addon.mjs';
import { installDependencies } from './dependencies.mjs';
import { locked, node, root, runProgram, say } from './step.mjs';

const dist = join(root, 'dist');
const stamp = join(dist, '.key');

export function buildDist() {
  locked('dist', () => {
    const started = new Date();
    const key = sourceKey();
    if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== key) {
      say('compiling the program (dist/)');
      compile(key);
    }
    utimesSync(stamp, started, started);
  });
}

function sourceKey() {
  const hash = createHash('sha256');
  for (const file of ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'])
    hash.update(readFileSync(join(root, file)));
  const sources = readdirSync(join(root, 'src'), { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .sort();
  for (const name of sources) hash.update(`${name}\0`).update(readFileSync(join(root, 'src', name)));
  return hash.digest('hex');
}

/** Beside dist/ and then in its place, so that no one meets half a program. */
function compile(key) {
  const fresh = join(root, 'dist.new');
  const old = join(root, 'dist.old');
  rmSync(fresh, { recursive: true, force: true });
  rmSync(old, { recursive: true, force: true });
  runProgram(node, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', fresh]);
  writeFileSync(join(fresh, '.key'), key);
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(fresh, dist);
  rmSync(old, { recursive: true, force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  installDependencies();
  buildAddon(say);
  buildDist();
}
