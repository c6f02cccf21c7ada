// The programs of the tests' cluster: Kubernetes, etcd, CSI sidecars, helm and our few, from the Go module
// test/cluster/testbed into .cache/cluster/bin; containerd and what it needs are Debian's. Skipped when current.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { locked, root, runProgram, say } from './step.mjs';
import { clusterFolder, findGo, installDebian, isCurrent, markCurrent } from './tools.mjs';

export const bin = join(clusterFolder, 'bin');
const module = join(root, 'test/cluster/testbed');

const DEBIAN = {
  containerd: 'containerd',
  runc: 'runc',
  '/usr/lib/cni/bridge': 'containernetworking-plugins',
  busybox: 'busybox-static',
  ip: 'iproute2',
  nsenter: 'util-linux',
  openssl: 'openssl',
};
const KUBERNETES = 'k8s.io/kubernetes/cmd';
const PACKAGES = [
  ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kubectl'].map(
    (name) => `${KUBERNETES}/${name}`,
  ),
  'github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner',
  'github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer',
  'helm.sh/helm/v3/cmd/helm',
  './cmd/pause',
  './cmd/netfwd',
  './cmd/plugin-registrar',
];
/** Its program would be called v3. */
const ETCD = 'go.etcd.io/etcd/server/v3';

/** Answers a key that changes when a program does. */
export function installClusterPrograms() {
  installDebian(DEBIAN);
  const key = wantedKey();
  locked('cluster-programs', () => {
    if (isCurrent('cluster-programs', key, join(bin, 'etcd'))) return;
    say('building Kubernetes for the cluster tests (some six minutes on two cores the first time)');
    build();
    markCurrent('cluster-programs', key);
  });
  return key;
}

/** By what pins them, by how they are built, and by our own sources. */
function wantedKey() {
  const hash = createHash('sha256').update(JSON.stringify([PACKAGES, flags()]));
  const sources = readdirSync(module, { recursive: true }).filter((name) => /\.go$|^go\.(mod|sum)$/.test(name));
  for (const name of sources.sort()) hash.update(`${name}\0`).update(readFileSync(join(module, name)));
  return hash.digest('hex');
}

/** One build for all, so that what they share is compiled once and both cores have work to the end. */
function build() {
  const fresh = join(clusterFolder, `bin.${process.pid}`);
  mkdirSync(fresh, { recursive: true });
  const options = {
    cwd: module,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOTOOLCHAIN: 'local' },
  };
  const go = findGo();
  try {
    runProgram(go, ['build', ...flags(), '-o', `${fresh}/`, ...PACKAGES], options);
    runProgram(go, ['build', ...flags(), '-o', join(fresh, 'etcd'), ETCD], options);
    mkdirSync(bin, { recursive: true });
    for (const name of readdirSync(fresh)) renameSync(join(fresh, name), join(bin, name));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

const flags = () => ['-mod=readonly', '-trimpath', '-tags=no_btrfs,no_zfs,no_devmapper', ...versionFlags()];

/** Clients and the kubelet compare versions, charts ask helm for one; a program built without has none or an old one. */
function versionFlags() {
  const pinned = readFileSync(join(module, 'go.mod'), 'utf8');
  const [, minor, patch] = /k8s\.io\/kubernetes v1\.(\d+)\.(\d+)/.exec(pinned);
  const [, helm] = /helm\.sh\/helm\/v3 (v\S+)/.exec(pinned);
  const set = (folder, values) => Object.entries(values).map(([name, value]) => `-X ${folder}.${name}=${value}`);
  const version = { gitVersion: `v1.${minor}.${patch}`, gitMajor: 1, gitMinor: minor, gitTreeState: 'clean' };
  const ofKubernetes = set('k8s.io/component-base/version', version);
  const ofHelm = [
    ...set('helm.sh/helm/v3/internal/version', { version: helm }),
    ...set('helm.sh/helm/v3/pkg/chartutil', { k8sVersionMajor: 1, k8sVersionMinor: minor }),
    ...set('helm.sh/helm/v3/pkg/lint/rules', { k8sVersionMajor: 1, k8sVersionMinor: minor }),
  ];
  return [
    '-ldflags=all=-s -w',
    `-ldflags=k8s.io/kubernetes/...=-s -w ${ofKubernetes.join(' ')}`,
    `-ldflags=helm.sh/helm/v3/...=-s -w ${ofHelm.join(' ')}`,
  ];
}
