// etcd, API server, controller manager and scheduler: the real programs, with the flags that one machine needs.
import { join } from 'node:path';
import type { ClusterCertificates } from './certificates.ts';
import { API_ADDRESS, NODE_ADDRESS, SERVICE_RANGE } from './machine.ts';
import { programPath } from './programs.ts';

export interface Ports {
  readonly api: number;
  readonly etcd: number;
  readonly etcdPeers: number;
}

/** In a network of its own nobody else has them. */
export const OWN_PORTS: Ports = { api: 443, etcd: 2379, etcdPeers: 2380 };
export const KUBELET_PORT = 10_250;

export interface Plane {
  readonly state: string;
  readonly ports: Ports;
  readonly certificates: ClusterCertificates;
  /** Undefined: in the host's network, on loopback only, and with nothing that needs a node. */
  readonly node: string | undefined;
}

const LOOPBACK = '127.0.0.1';

/** For the other components. */
export const apiServerUrl = ({ node, ports }: Plane): string =>
  `https://${node === undefined ? LOOPBACK : API_ADDRESS}:${ports.api}`;

export async function makeCertificates(certificates: ClusterCertificates, node: string): Promise<void> {
  await certificates.makeAuthority();
  const api = [LOOPBACK, API_ADDRESS, NODE_ADDRESS].map((address) => `IP:${address}`);
  const service = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map(
    (name) => `DNS:${name}`,
  );
  await Promise.all([
    certificates.make('apiserver', '/CN=kube-apiserver', [...api, ...service]),
    certificates.make('admin', '/O=system:masters/CN=testbed-admin'),
    certificates.make('kcm', '/CN=system:kube-controller-manager'),
    certificates.make('scheduler', '/CN=system:kube-scheduler'),
    certificates.make('apiserver-kubelet', '/O=system:masters/CN=kube-apiserver-kubelet-client'),
    certificates.make('kubelet', `/O=system:nodes/CN=system:node:${node}`, [`IP:${NODE_ADDRESS}`, `DNS:${node}`]),
  ]);
}

/** A test's cluster survives no crash of the machine, so nothing is forced to the disk. */
export function etcdCommand({ state, ports }: Pick<Plane, 'state' | 'ports'>): string[] {
  const clients = `http://${LOOPBACK}:${ports.etcd}`;
  const peers = `http://${LOOPBACK}:${ports.etcdPeers}`;
  return [
    programPath('etcd'),
    '--name=testbed',
    `--data-dir=${join(state, 'etcd')}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=testbed=${peers}`,
  ];
}

export function apiServerCommand({ ports, certificates, node }: Plane): string[] {
  const at = (name: string): string => certificates.path(name);
  const network =
    node === undefined
      ? [`--bind-address=${LOOPBACK}`, `--advertise-address=${LOOPBACK}`, '--endpoint-reconciler-type=none']
      : [`--bind-address=${API_ADDRESS}`, `--advertise-address=${API_ADDRESS}`];
  return [
    programPath('kube-apiserver'),
    ...network,
    `--secure-port=${ports.api}`,
    `--etcd-servers=http://${LOOPBACK}:${ports.etcd}`,
    `--tls-cert-file=${at('apiserver.crt')}`,
    `--tls-private-key-file=${at('apiserver.key')}`,
    `--client-ca-file=${at('ca.crt')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${at('sa.pub')}`,
    `--service-account-signing-key-file=${at('sa.key')}`,
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--kubelet-certificate-authority=${at('ca.crt')}`,
    `--kubelet-client-certificate=${at('apiserver-kubelet.crt')}`,
    `--kubelet-client-key=${at('apiserver-kubelet.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    // No kube-proxy: what the API server calls behind a Service, it calls at the pod's address.
    '--enable-aggregator-routing=true',
    '--profiling=false',
  ];
}

export function controllerManagerCommand({ state, certificates }: Plane): string[] {
  const at = (name: string): string => certificates.path(name);
  return [
    programPath('kube-controller-manager'),
    ...asClient(join(state, 'conf/kcm')),
    `--cert-dir=${join(state, 'conf/kcm-tls')}`,
    '--use-service-account-credentials',
    `--service-account-private-key-file=${at('sa.key')}`,
    `--root-ca-file=${at('ca.crt')}`,
    `--cluster-signing-cert-file=${at('ca.crt')}`,
    `--cluster-signing-key-file=${at('ca.key')}`,
  ];
}

export function schedulerCommand({ state }: Plane): string[] {
  const program = programPath('kube-scheduler');
  return [program, ...asClient(join(state, 'conf/scheduler')), `--cert-dir=${join(state, 'conf/scheduler-tls')}`];
}

/** One of each: nobody to elect. */
const asClient = (kubeconfig: string): string[] => [
  `--kubeconfig=${kubeconfig}`,
  `--authentication-kubeconfig=${kubeconfig}`,
  `--authorization-kubeconfig=${kubeconfig}`,
  '--leader-elect=false',
  `--bind-address=${LOOPBACK}`,
];
