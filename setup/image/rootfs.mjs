// The image's root file system: the program, the pinned Node with the shared libraries that it needs, a launcher, and the
// few files that the C library looks for. No shell, no package manager, nothing that belongs to one build machine.
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { StepFailed, tryProgram } from '../step.mjs';
import { packageFiles, productionPackages } from './packages.mjs';

const home = 'opt/pageseal';
const etc = {
  passwd:
    'root:x:0:0:root:/:/nologin\nnobody:x:65534:65534:nobody:/:/nologin\nnonroot:x:65532:65532:nonroot:/:/nologin\n',
  group: 'root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n',
  // Without it the C library may ask the network before /etc/hosts, where a pod's hostAliases stand.
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};
/** Where a runtime or a chart mounts something: they need not make them in a read-only root. */
const emptyFolders = ['csi', 'dev', 'proc', 'run/pageseal', 'sys', 'var/lib/kubelet'];

/** Writes everything below `target`, which must not exist or be empty. */
export function buildRootfs({ root, node, target }) {
  if (existsSync(target) && readdirSync(target).length > 0) throw new StepFailed(`${target} is not empty`);
  const put = (path, mode, write) => {
    const file = join(target, path);
    mkdirSync(dirname(file), { recursive: true });
    write(file);
    chmodSync(file, mode);
  };
  const copy = (from, path, mode = 0o644) => put(path, mode, (file) => cpSync(realpathSync(from), file));
  const text = (path, content) => put(path, 0o644, (file) => writeFileSync(file, content));

  for (const folder of emptyFolders) mkdirSync(join(target, folder), { recursive: true });
  mkdirSync(join(target, 'tmp'));
  for (const [name, content] of Object.entries(etc)) text(`etc/${name}`, content);
  copyProgram(root, copy, text);
  put(`${home}/build/pageseal.node`, 0o644, (file) => strip(join(root, 'build/pageseal.node'), file));
  put(`${home}/bin/node`, 0o755, (file) => strip(node, file));
  for (const library of sharedLibraries(programsIn(join(target, home)))) copy(library, library.slice(1), 0o755);
  put('usr/local/bin/pageseal', 0o755, (file) => compileLauncher(join(root, 'deploy/launcher.c'), file));
  settle(target);
  chmodSync(join(target, 'tmp'), 0o1777);
}

function copyProgram(root, copy, text) {
  const { name, version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  text(`${home}/package.json`, `${JSON.stringify({ name, version, license, type: 'module' })}\n`);
  copy(join(root, 'LICENSE'), `${home}/LICENSE`);
  for (const [folder, wanted] of [
    ['dist', /\.js$/],
    ['proto', /\.proto$/],
  ])
    for (const file of readdirSync(join(root, folder), { recursive: true }).sort())
      if (wanted.test(file)) copy(join(root, folder, file), `${home}/${folder}/${file}`);
  copy(join(dirname(dirname(nodeOf(root))), 'LICENSE'), `${home}/bin/LICENSE`);
  for (const path of productionPackages(root))
    for (const file of packageFiles(root, path)) copy(join(root, file), `${home}/${file}`);
}

const nodeOf = (root) => join(root, 'node_modules', `node-linux-${process.arch}`, 'bin/node');

/** Symbols and debugging data are a quarter of the runtime; the build id would tell where it was compiled. */
function strip(from, file) {
  must('strip', [
    '--strip-all',
    '--enable-deterministic-archives',
    '--remove-section=.note.gnu.build-id',
    '-o',
    file,
    from,
  ]);
}

/** Static: the one program that must start whatever stands in the libraries' folder. */
function compileLauncher(source, file) {
  const flags = ['-std=gnu11', '-Os', '-static', '-s', '-Wall', '-Wextra', '-Werror', '-Wl,--build-id=none'];
  must(process.env.CC ?? 'cc', [...flags, '-o', file, source]);
}

function must(program, args) {
  const { ok, output } = tryProgram(program, args);
  if (!ok) throw new StepFailed(`${program}: ${output || 'not found'}`);
}

/** The runtime and every addon. */
function programsIn(folder) {
  const addons = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.node'));
  return ['bin/node', ...addons].map((name) => join(folder, name));
}

/** As the loader of this machine finds them, which is also the loader that the image gets; by the names they are opened by. */
function sharedLibraries(programs) {
  const found = new Set();
  for (const program of programs) {
    const { ok, output } = tryProgram('ldd', [program]);
    if (!ok || output.includes('not found')) throw new StepFailed(`ldd ${program}: ${output}`);
    for (const [, path] of output.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)) found.add(path);
  }
  return [...found].sort();
}

/** Folders and times the same whoever builds it. */
function settle(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) settle(path);
    else utimesSync(path, 0, 0);
  }
  chmodSync(folder, 0o755);
  utimesSync(folder, 0, 0);
}
