// The messages of proto/keeper.proto as both ends hold them (proto-loader's camelCase).

/** What opens a file system. Secret: never logged. Empty strings and buffers stand for "not given". */
export interface Connection {
  readonly metaUrl: string;
  readonly storage: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken: string;
  /** PEM text. */
  readonly caBundle: string;
  /** PEM; empty: the key in metadata. */
  readonly rsaKey: Buffer;
  readonly passphrase: Buffer;
  readonly hasPassphrase: boolean;
  readonly encryptionRequired: boolean;
}

export interface MountRequest {
  readonly volumeId: string;
  readonly stagingPath: string;
  readonly connection: Connection;
  readonly fileSystemUuid: string;
  readonly directory: string;
  readonly readOnly: boolean;
  readonly options: readonly string[];
}

export interface MountReply {
  readonly fileSystemUuid: string;
  readonly fileSystemName: string;
}

export interface ProveRequest {
  readonly volumeId: string;
  readonly connection: Connection;
}

export interface BindRequest {
  readonly volumeId: string;
  readonly targetPath: string;
  readonly readOnly: boolean;
}

export interface BindReply {
  readonly existed: boolean;
}

export interface UnbindRequest {
  readonly volumeId: string;
  readonly targetPath: string;
}

export interface UnmountRequest {
  readonly volumeId: string;
  readonly stagingPath: string;
}

export interface StatRequest {
  readonly volumeId: string;
  readonly path: string;
}

export interface KeeperStats {
  readonly totalBytes: bigint;
  readonly availableBytes: bigint;
  readonly usedBytes: bigint;
  readonly totalInodes: bigint;
  readonly freeInodes: bigint;
  readonly usedInodes: bigint;
  readonly abnormal: boolean;
  readonly condition: string;
}

export interface KeeperVolume {
  readonly volumeId: string;
  readonly fileSystemUuid: string;
  readonly stagingPath: string;
  readonly targets: readonly string[];
  readonly workerPid: number;
  readonly restarts: number;
  readonly readOnly: boolean;
}
