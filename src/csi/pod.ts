// Which pod a publish is for: kubelet says it in the volume context where the CSIDriver object asks for it (podInfoOnMount).
const PREFIX = 'csi.storage.k8s.io/pod.';

export interface Pod {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export function podOf(context: Readonly<Record<string, string>>): Pod | undefined {
  const [namespace, name, uid] = ['namespace', 'name', 'uid'].map((part) => context[`${PREFIX}${part}`]);
  return name === undefined || namespace === undefined || uid === undefined
    ? undefined
    : { kind: 'Pod', namespace, name, uid };
}
