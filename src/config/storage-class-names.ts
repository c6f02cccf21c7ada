// Parameters of a StorageClass, and the names that are accepted for the sake of existing classes but mean nothing here.

export const parameterNames = {
  encryption: 'encryption',
  compression: 'compression',
  pageSize: 'pageSize',
  trashDays: 'trashDays',
  hashPrefix: 'hashPrefix',
  enableAcl: 'enableAcl',
  pathPattern: 'pathPattern',
  fileSystem: 'fileSystem',
  cacheClass: 'cacheClass',
  cacheSize: 'cacheSize',
  cacheRequired: 'cacheRequired',
} as const;

/** The external-provisioner's own: Secret references, and with --extra-create-metadata the names of PVC and PV. */
export const SIDECAR_PREFIX = 'csi.storage.k8s.io/';
export const claimNames = {
  name: 'csi.storage.k8s.io/pvc/name',
  namespace: 'csi.storage.k8s.io/pvc/namespace',
  volume: 'csi.storage.k8s.io/pv/name',
} as const;

/** Parameters of the JuiceFS CSI driver: mount pod settings and the like. Accepted, without effect. */
export const IGNORED_PREFIX = 'juicefs/';
