// Images of the tests' cluster, made without a container engine: programs from .cache/cluster/bin and Debian's busybox as
// archives that containerd imports, under the names that the chart and the examples use, so that nothing differs for tests.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { bin } from './cluster-programs.mjs';
import { writeArchive } from './image/archive.mjs';
import { say } from './step.mjs';
import { clusterFolder, isCurrent, markCurrent } from './tools.mjs';

const folder = join(clusterFolder, 'images');
const SIDECARS = 'registry.k8s.io/sig-storage';
/** The image of each program; its entry point is the program, so a chart's arguments suffice. */
const PROGRAMS = {
  pause: 'localhost/pageseal/pause:test',
  'plugin-registrar': `${SIDECARS}/csi-node-driver-registrar:v2.17.0`,
  'csi-provisioner': `${SIDECARS}/csi-provisioner:v6.3.0`,
  'csi-resizer': `${SIDECARS}/csi-resizer:v2.2.0`,
};
/** What pods of tests and examples run. */
const BUSYBOX = 'docker.io/library/busybox:1.37';
const ENVIRONMENT = ['PATH=/usr/local/bin:/usr/bin:/bin'];

/** `key`: of the programs; images made of others are made again. */
export async function makeClusterImages(key) {
  const wanted = JSON.stringify([key, PROGRAMS, BUSYBOX]);
  if (isCurrent('cluster-images', wanted, join(folder, 'busybox.tar'))) return;
  say('making the images of the sidecars and of busybox');
  mkdirSync(folder, { recursive: true });
  for (const [name, image] of Object.entries(PROGRAMS)) {
    const path = `/usr/local/bin/${name}`;
    await write(name, image, { Entrypoint: [path] }, (rootfs) => copy(join(bin, name), join(rootfs, path)));
  }
  await write('busybox', BUSYBOX, { Cmd: ['sh'] }, fillBusybox);
  markCurrent('cluster-images', wanted);
}

async function write(name, image, config, fill) {
  const work = mkdtempSync(join(tmpdir(), 'pageseal-image-'));
  try {
    const rootfs = join(work, 'rootfs');
    for (const empty of ['etc', 'dev', 'proc', 'sys', 'run', 'tmp'])
      mkdirSync(join(rootfs, empty), { recursive: true });
    chmodSync(join(rootfs, 'tmp'), 0o1777);
    writeFileSync(
      join(rootfs, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
    );
    writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
    fill(rootfs);
    const output = join(folder, `${name}.tar`);
    await writeArchive({ rootfs, output, name: image, config: { Env: ENVIRONMENT, ...config }, compress: false });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function fillBusybox(rootfs) {
  const found = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
  const program = join(rootfs, 'bin/busybox');
  copy(found, program);
  const applets = execFileSync(program, ['--list'], { encoding: 'utf8' }).split('\n');
  for (const applet of applets.filter((name) => name !== '' && name !== 'busybox'))
    symlinkSync('busybox', join(rootfs, 'bin', applet));
}

function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(realpathSync(from), to);
  chmodSync(to, 0o755);
}
