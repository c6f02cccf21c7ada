// Keys of a Secret. The first group means what it means to the JuiceFS CSI driver, so that its Secrets work unchanged.

export const secretNames = {
  name: 'name',
  metaUrl: 'metaurl',
  storage: 'storage',
  bucket: 'bucket',
  accessKey: 'access-key',
  secretKey: 'secret-key',
  /** PEM that goes into the metadata (custody: in metadata). */
  metadataKey: 'encrypt_rsa_key',
  /** JSON object or YAML mapping; of it JFS_RSA_PASSPHRASE, META_PASSWORD, ACCESS_KEY, SECRET_KEY, SESSION_TOKEN count. */
  environment: 'envs',
  formatOptions: 'format-options',

  /** PEM of the public half (custody: self-managed): all that provisioning needs. */
  publicKey: 'rsa-public-key',
  /** PEM of the private key: for nodes only. */
  privateKey: 'rsa-key',
  passphrase: 'passphrase',
  sessionToken: 'session-token',
  caBundle: 'ca-bundle',
  clientCertificate: 'client-certificate',
  clientKey: 'client-key',
  keyServiceToken: 'key-service-token',
} as const;

export const PASSPHRASE_VARIABLE = 'JFS_RSA_PASSPHRASE';

/** What stands for the volume's own file system name in `name`, `metaurl` and `bucket`. */
export const FILE_SYSTEM_PLACEHOLDER = '$' + '{fs}';
