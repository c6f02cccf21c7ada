// npm's packages, exactly as locked and without their scripts. Skipped when what is installed is what the lock names.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { locked, node, root, runProgram, say } from './step.mjs';

export function installDependencies() {
  if (installed()) return;
  locked('npm', () => {
    if (installed()) return;
    say('installing the npm packages (npm ci)');
    runProgram('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  });
}

/** npm writes the hidden lock last, so it is there only after a whole installation. */
function installed() {
  const hidden = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(hidden) || !existsSync(node)) return false;
  const have = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  for (const [path, entry] of Object.entries(want)) {
    if (path === '') continue;
    const there = have[path];
    if (there === undefined ? !entry.optional : there.integrity !== entry.integrity) return false;
  }
  return Object.keys(have).every((path) => path in want);
}
