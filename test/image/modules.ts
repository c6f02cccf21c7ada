// Follows every import and require from the compiled program, also those in code that seldom runs: what can be found in the
// checkout but not in the image was left out by mistake.
import { runOk } from '../harness/program.ts';

const program = String.raw`
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
const [image, checkout] = process.argv.slice(1);
const IMPORT = /(\brequire\(|\bimport\(|\bfrom\s*|\bimport\s*)\s*["']([^"'\n]+)["']/g;
function resolve(file, how, name) {
  try {
    if (how.startsWith('require')) return createRequire(file).resolve(name);
    const path = fileURLToPath(import.meta.resolve(name, pathToFileURL(file).href));
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}
const queue = readdirSync(join(image, 'dist'), { recursive: true })
  .filter((name) => name.endsWith('.js'))
  .map((name) => join(image, 'dist', name));
const seen = new Set();
const missing = [];
for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
  if (seen.has(file) || !/\.[cm]?js$/.test(file)) continue;
  seen.add(file);
  for (const [, how, name] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (isBuiltin(name)) continue;
    const found = resolve(file, how, name);
    if (found?.startsWith(image)) queue.push(found);
    else if (found !== undefined) missing.push(file + ' finds ' + name + ' outside: ' + found);
    else {
      // Comments name types the same way.
      const there = resolve(file.replace(image, checkout), how, name);
      if (there !== undefined && statSync(there).isFile() && !/\.d\.[cm]?ts$/.test(there)) missing.push(file + ' lacks ' + name);
    }
  }
}
console.log(JSON.stringify({ seen: seen.size, missing }));
`;

/** fuse-native is left out: the second transport, for a user's own mounts. */
const leftOut = / lacks fuse-native$/;

export async function missingModules(image: string, checkout: string): Promise<{ seen: number; missing: string[] }> {
  const args = ['--experimental-import-meta-resolve', '--input-type=module', '--eval', program, image, checkout];
  const { seen, missing } = JSON.parse(await runOk(process.execPath, args)) as { seen: number; missing: string[] };
  return { seen, missing: missing.filter((line) => !leftOut.test(line)) };
}
