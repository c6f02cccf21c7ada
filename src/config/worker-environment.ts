// What a worker gets to know of the environment of who started it: nothing but this list, handed on through its sealed
// memory. Names that mean something to the store's client, and to nobody who could run code by them.

/** How to get to a store and whom to trust there. */
export const networkVariables = [
  'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy', 'NO_PROXY', 'no_proxy', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS', 'AWS_CA_BUNDLE',
  'AWS_REGION', 'AWS_DEFAULT_REGION', 'MINIO_REGION', 'JFS_S3_VHOST_STYLE',
]; // biome-ignore format: a list

/** Who one is there: the credentials of the machine, its service account or its user. HOME is where profiles are. */
export const identityVariables = [
  'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE', 'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE', 'HOME', 'AWS_ROLE_ARN', 'AWS_ROLE_SESSION_NAME', 'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_STS_REGIONAL_ENDPOINTS', 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', 'AWS_EC2_METADATA_DISABLED',
  'MINIO_ACCESS_KEY', 'MINIO_SECRET_KEY', 'ALICLOUD_ACCESS_KEY_ID', 'ALICLOUD_ACCESS_KEY_SECRET', 'SECURITY_TOKEN',
  'COS_SECRETID', 'COS_SECRETKEY', 'HWCLOUD_ACCESS_KEY', 'HWCLOUD_SECRET_KEY', 'BDCLOUD_ACCESS_KEY',
  'BDCLOUD_SECRET_KEY', 'EOS_ACCESS_KEY', 'EOS_SECRET_KEY', 'EOS_TOKEN', 'SCW_ACCESS_KEY', 'SCW_SECRET_KEY',
]; // biome-ignore format: a list

/** `withIdentity`: also who we are, for a volume that brings no credentials of its own. */
export function environmentFor(
  wanted: { readonly withIdentity: boolean },
  environment: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const names = wanted.withIdentity ? [...networkVariables, ...identityVariables] : networkVariables;
  return Object.fromEntries(names.flatMap((name) => [[name, environment[name]]]).filter(isSet));
}

const isSet = (entry: readonly (string | undefined)[]): entry is [string, string] =>
  entry[1] !== undefined && entry[1] !== '';
