// Names by which Kubernetes knows the driver; said once, since they end up in PVs and can never change.

/** CSIDriver object, StorageClass provisioner, registration path. */
export const DRIVER_NAME = 'csi.pageseal.dev';
/** On Secrets without which volumes could not be deleted, where the chart asks for it. */
export const SECRET_FINALIZER = 'csi.pageseal.dev/volumes';
/** Topology key of embedded mode: the one node that has the database and the folder. */
export const HOST_TOPOLOGY = 'pageseal.dev/host';
/** A node id that can be a topology value, which embedded mode needs: what CSI and the values of node labels allow. */
export const TOPOLOGY_NODE_ID = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** Where a kubelet keeps pods' folders and CSI staging paths unless told otherwise. */
export const DEFAULT_KUBELET_DIRECTORY = '/var/lib/kubelet';
export const DEFAULT_KEEPER_SOCKET = '/run/pageseal/keeper.sock';
