// The testbed's node: Debian's containerd and a kubelet, with the files that configure them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterCertificates } from './certificates.ts';
import { KUBELET_PORT } from './control-plane.ts';
import { NODE_ADDRESS, POD_RANGE } from './machine.ts';
import { pauseImage, programPath } from './programs.ts';

/** On the node, as on any other. */
export const KUBELET_FOLDER = '/var/lib/kubelet';
export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';

export interface NodeSettings {
  readonly name: string;
  readonly state: string;
  readonly logs: string;
  readonly certificates: ClusterCertificates;
  /** Below it are the control groups of all pods. */
  readonly controlGroup: string;
}

export function containerdCommand({ state }: NodeSettings): string[] {
  const networks = join(state, 'cni');
  mkdirSync(networks, { recursive: true });
  const addresses = { type: 'host-local', ranges: [[{ subnet: POD_RANGE }]], routes: [{ dst: '0.0.0.0/0' }] };
  const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipam: addresses };
  const list = { cniVersion: '1.0.0', name: 'testbed', plugins: [bridge] };
  writeFileSync(join(networks, '10-testbed.conflist'), JSON.stringify(list));
  const file = join(state, 'conf/containerd.toml');
  writeFileSync(
    file,
    `version = 2
root = "${join(state, 'containerd')}"
state = "/run/containerd"
[grpc]
  address = "${CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  stream_server_address = "127.0.0.1"
  # A root without CAP_SYS_RESOURCE may not lower scores below its own.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${networks}"
`,
  );
  return ['containerd', '--config', file];
}

export function kubeletCommand(settings: NodeSettings): string[] {
  const { name, state } = settings;
  const file = join(state, 'conf/kubelet.json');
  writeFileSync(file, JSON.stringify(kubeletConfiguration(settings)));
  return [
    programPath('kubelet'),
    `--config=${file}`,
    `--kubeconfig=${join(state, 'conf/kubelet')}`,
    `--root-dir=${KUBELET_FOLDER}`,
    `--hostname-override=${name}`,
    `--node-ip=${NODE_ADDRESS}`,
  ];
}

function kubeletConfiguration({ logs, certificates, controlGroup }: NodeSettings): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: '0.0.0.0',
    port: KUBELET_PORT,
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: certificates.path('ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: certificates.path('kubelet.crt'),
    tlsPrivateKeyFile: certificates.path('kubelet.key'),
    cgroupDriver: 'cgroupfs',
    cgroupRoot: controlGroup,
    // Machines with cgroup v1 are still met; the kubelet calls that deprecated.
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    makeIPTablesUtilChains: false,
    resolvConf: '',
    podLogsDir: join(logs, 'pods'),
    volumePluginDir: '/run/volume-plugins',
    // Tests run on disks that are nearly full, too.
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: '5s',
    volumeStatsAggPeriod: '10s',
    syncFrequency: '10s',
    // A pod that failed is tried again at once, not after minutes.
    crashLoopBackOff: { maxContainerRestartPeriod: '2s' },
    featureGates: { KubeletCrashLoopBackOffMax: true },
  };
}
