// Which files of which npm packages run in the image: the production dependencies of the lock, without types, sources,
// documentation and what is for other platforms or module systems. test/image judges that nothing is missed.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StepFailed } from '../step.mjs';

/** The runtime comes apart from the packages; fuse-native is the second transport, for a user's own mounts only. */
const leftOut = [/^node-linux-/, /^fuse-native$/, /^@types\//, /^bare-/]; // bare-*: another runtime's parts, of tar-fs
const runs = /\.(?:[cm]?js|json|node|wasm|proto)$/;
const legal = /^(?:licen[cs]e|notice|copying|copyright)/i;
const neverRuns = /\.(?:min\.js|test\.js|map|d\.[cm]?ts)$|(?:^|\/)(?:package-lock|tsconfig.*|bower|component)\.json$/;
const neverRunsFolders = new Set(
  'test tests __tests__ docs doc example examples benchmark benchmarks dist-types dist-es .github man scripts'.split(
    ' ',
  ),
);
/** What is for browsers, bundlers or the command line. */
const foldersOf = {
  async: ['dist'],
  'js-yaml': ['bin'],
  jsep: ['dist/iife'],
  protobufjs: ['dist', 'cli', 'bin'],
  yaml: ['browser'],
};

/** Paths below node_modules of the production dependencies, sorted. */
export function productionPackages(root) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const found = new Set();
  const queue = [''];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    const { dependencies = {}, optionalDependencies = {} } = packages[at];
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      if (leftOut.some((pattern) => pattern.test(name))) continue;
      const path = resolved(packages, at, name);
      if (path === undefined || found.has(path)) continue;
      if (!existsSync(join(root, path, 'package.json'))) {
        if (packages[path].optional) continue; // another platform's
        throw new StepFailed(`${path} is not installed; run npm ci --ignore-scripts`);
      }
      found.add(path);
      queue.push(path);
    }
  }
  return [...found].sort();
}

/** As Node looks for it: in the package's own node_modules, then in each one above. */
function resolved(packages, from, name) {
  for (let at = from; ; at = at.includes('/node_modules/') ? at.slice(0, at.lastIndexOf('/node_modules/')) : '') {
    const path = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (packages[path] !== undefined) return path;
    if (at === '') return undefined;
  }
}

/** Paths of the files of a package that may run, and of its licence. */
export function packageFiles(root, path) {
  const skipped = (foldersOf[path.replace(/^.*node_modules\//, '')] ?? []).map((folder) => `${path}/${folder}`);
  const files = [];
  const walk = (folder) => {
    for (const name of readdirSync(join(root, folder)).sort()) {
      const inside = `${folder}/${name}`;
      if (lstatSync(join(root, inside)).isDirectory()) {
        const top = folder === path; // further down the names mean other things
        if (name !== 'node_modules' && !(top && neverRunsFolder(root, inside)) && !skipped.includes(inside))
          walk(inside);
      } else if (legal.test(name) || (runs.test(name) && !neverRuns.test(name))) files.push(inside);
    }
  };
  walk(path);
  return files;
}

function neverRunsFolder(root, folder) {
  const name = basename(folder);
  // Of two builds Node takes the CommonJS one, which stands first in the packages that have both.
  if (name === 'dist-es') return existsSync(join(root, dirname(folder), 'dist-cjs'));
  return neverRunsFolders.has(name);
}
