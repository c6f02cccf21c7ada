// Keys of the volume context: what CreateVolume tells the nodes about a volume. Stored in the PV, so never a secret.

export const contextNames = {
  /** The file system's own name, put in the place of the placeholder in the node's Secret. */
  fileSystem: 'fs',
  /** The volume's directory inside the file system, absolute. */
  directory: 'directory',
  uuid: 'uuid',
  encryption: 'encryption',
} as const;

/** Added by kubelet (podInfoOnMount) and by the external-provisioner: accepted without being looked at. */
export const ignoredContextPrefixes: readonly string[] = ['csi.storage.k8s.io/', 'storage.kubernetes.io/', 'juicefs/'];
