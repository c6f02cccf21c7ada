// Points git at .githooks. Never fails an installation: images and archives have no git, linked checkouts share theirs.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, tryProgram } from './step.mjs';

export function installHooks() {
  if (!statSync(join(root, '.git'), { throwIfNoEntry: false })?.isDirectory()) return;
  tryProgram('git', ['config', 'core.hooksPath', '.githooks']);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) installHooks();
