// Which --storage names of the original client lead to an S3 interface, as data: how each spells its addresses, which of
// its hosts speak S3, in which region requests are signed, and which variables hold its keys.

/** A host of the service as users write it, what speaks S3 there, and the region it is in ($1 as in replaceAll). */
export interface HostRule {
  readonly host: RegExp;
  /** Absent: the host itself. */
  readonly endpoint?: string;
  readonly region: string;
}

export interface S3Kind {
  /** How a bucket is spelled: https://HOST/BUCKET, https://BUCKET.HOST, or by its name alone. */
  readonly spelled: 'path' | 'host' | 'name';
  /** How requests name it; 'asked': by path, but by host where JFS_S3_VHOST_STYLE says so. */
  readonly addressed: 'path' | 'host' | 'asked';
  readonly hosts: readonly HostRule[];
  /** How requests name it at hosts that no rule knows; absent: in the same way. */
  readonly addressedElsewhere?: 'asked';
  /** Signed for where no rule knows the host: the service in a house of its own. Absent: such hosts are refused. */
  readonly elsewhere?: string;
  /** For buckets spelled by their name alone. */
  readonly endpoint?: string;
  /** Access key, secret key, session token. */
  readonly variables?: readonly [string, string, string?];
  /** It has one class, or none that a request may choose. */
  readonly noStorageClass?: true;
  /** The most that one put takes, bytes. */
  readonly largestPut?: number;
}

const US = 'us-east-1';
const ASKED = { spelled: 'host', addressed: 'asked' } as const;
const BY_HOST = { spelled: 'host', addressed: 'host' } as const;
const BY_PATH = { spelled: 'host', addressed: 'path' } as const;
const MiB = 1024 * 1024;

/** s3 itself has more spellings than a rule holds: s3-address.ts. */
export const s3Kinds = {
  minio: {
    spelled: 'path',
    addressed: 'asked',
    hosts: [],
    elsewhere: US,
    variables: ['MINIO_ACCESS_KEY', 'MINIO_SECRET_KEY'],
  },
  oss: {
    ...BY_HOST,
    hosts: [
      { host: /^(?:s3\.)?oss-(.+?)(-internal)?\.aliyuncs\.com$/, endpoint: 's3.oss-$1$2.aliyuncs.com', region: '$1' },
    ],
    elsewhere: US,
    variables: ['ALICLOUD_ACCESS_KEY_ID', 'ALICLOUD_ACCESS_KEY_SECRET', 'SECURITY_TOKEN'],
  },
  cos: {
    ...BY_HOST,
    hosts: [{ host: /^cos\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)$/, region: '$1' }],
    elsewhere: US,
    variables: ['COS_SECRETID', 'COS_SECRETKEY'],
  },
  obs: {
    ...BY_HOST,
    hosts: [{ host: /^obs\.([a-z0-9-]+)\.myhuaweicloud\.(?:com|eu)$/, region: '$1' }],
    elsewhere: US,
    variables: ['HWCLOUD_ACCESS_KEY', 'HWCLOUD_SECRET_KEY'],
  },
  bos: {
    ...BY_HOST,
    hosts: [{ host: /^(?:s3\.)?([a-z0-9-]+)\.bcebos\.com$/, endpoint: 's3.$1.bcebos.com', region: '$1' }],
    elsewhere: US,
    variables: ['BDCLOUD_ACCESS_KEY', 'BDCLOUD_SECRET_KEY'],
  },
  tos: {
    ...BY_HOST,
    hosts: [
      {
        host: /^tos-(?:s3-)?([a-z0-9-]+)\.(i?volces|i?bytepluses)\.com$/,
        endpoint: 'tos-s3-$1.$2.com',
        region: '$1',
      },
    ],
    elsewhere: US,
  },
  ks3: {
    ...BY_HOST,
    addressedElsewhere: 'asked',
    hosts: [
      ...ks3Regions().map(([name, region]) => ({
        host: new RegExp(`^ks3-?${name}(?:-internal)?\\.ksyun(?:cs)?\\.com$`),
        region,
      })),
    ],
    elsewhere: US,
  },
  ufile: {
    ...BY_PATH,
    hosts: [
      {
        host: /^internal(?:-|\.s3-)([a-z][a-z-]*[0-9]?)(?:-\d\d)?\.ufileos\.(?:com|cn)$/,
        endpoint: 'internal.s3-$1.ufileos.com',
        region: '$1',
      },
      {
        host: /^(?:s3-)?([a-z][a-z-]*[0-9]?)(?:-\d\d)?\.ufileos\.(?:com|cn)$/,
        endpoint: 's3-$1.ufileos.com',
        region: '$1',
      },
    ],
    largestPut: 8 * MiB,
  },
  jss: { ...BY_PATH, hosts: [{ host: /^s3(?:-internal)?\.([a-z0-9-]+)\.jdcloud-oss\.com$/, region: '$1' }] },
  qingstor: {
    ...BY_PATH,
    hosts: [{ host: /^(?:s3\.)?([a-z0-9]+)\.qingstor\.com$/, endpoint: 's3.$1.qingstor.com', region: '$1' }],
    elsewhere: US,
  },
  qiniu: {
    ...BY_PATH,
    hosts: [{ host: /^s3[.-]([a-z0-9-]+)\.qiniucs\.com$/, endpoint: 's3.$1.qiniucs.com', region: '$1' }],
  },
  oos: {
    ...BY_PATH,
    hosts: [{ host: /^oos-([a-z0-9-]+)\.ctyunapi\.cn$/, region: '$1' }],
    elsewhere: US,
  },
  eos: { ...ASKED, hosts: [], elsewhere: US, variables: ['EOS_ACCESS_KEY', 'EOS_SECRET_KEY', 'EOS_TOKEN'] },
  scw: {
    ...BY_HOST,
    hosts: [{ host: /^s3\.([a-z0-9-]+)\.scw\.cloud$/, region: '$1' }],
    variables: ['SCW_ACCESS_KEY', 'SCW_SECRET_KEY'],
  },
  space: { ...BY_HOST, hosts: [{ host: /^([a-z0-9-]+)\.digitaloceanspaces\.com$/, region: '$1' }] },
  wasabi: {
    ...BY_HOST,
    hosts: [
      { host: /^s3\.wasabisys\.com$/, region: US },
      { host: /^s3\.([a-z0-9-]+)\.wasabisys\.com$/, region: '$1' },
    ],
    noStorageClass: true,
  },
  b2: {
    ...BY_HOST,
    hosts: [{ host: /^s3\.([a-z0-9-]+)\.backblazeb2\.com$/, region: '$1' }],
    noStorageClass: true,
  },
  ibmcos: {
    ...ASKED,
    hosts: [
      {
        host: /^s3\.(?:private\.|direct\.)?([a-z0-9-]+)\.cloud-object-storage\.appdomain\.cloud$/,
        region: '$1',
      },
    ],
  },
  gs: { spelled: 'name', addressed: 'path', hosts: [], endpoint: 'storage.googleapis.com', elsewhere: 'auto' },
  r2: {
    spelled: 'path',
    addressed: 'path',
    hosts: [{ host: /^[0-9a-f]+\.(?:eu\.|fedramp\.)?r2\.cloudflarestorage\.com$/, region: 'auto' }],
  },
} as const satisfies Record<string, S3Kind>;

export type S3KindName = keyof typeof s3Kinds;

function ks3Regions(): readonly (readonly [string, string])[] {
  return [
    ['cn-beijing', 'BEIJING'],
    ['cn-shanghai', 'SHANGHAI'],
    ['cn-guangzhou', 'GUANGZHOU'],
    ['cn-qingdao', 'QINGDAO'],
    ['jr-beijing', 'JR_BEIJING'],
    ['jr-shanghai', 'JR_SHANGHAI'],
    ['cn-hk-1', 'HONGKONG'],
    ['rus', 'RUSSIA'],
    ['sgp', 'SINGAPORE'],
    ['', 'HANGZHOU'],
  ];
}

export const isS3Kind = (storage: string): boolean => storage === 's3' || Object.hasOwn(s3Kinds, storage);

export const s3Kind = (storage: string): S3Kind | undefined =>
  Object.hasOwn(s3Kinds, storage) ? s3Kinds[storage as S3KindName] : undefined;

/** Names of the original client whose services speak no S3, or whose S3 is spelled otherwise; the value is a hint. */
export const withoutS3: Readonly<Record<string, string>> = {
  wasb: 'Azure Blob Storage has no S3 interface; a gateway that has one is addressed with --storage s3',
  scs: 'Sina Cloud Storage does not know signature version 4',
  ceph: 'a RADOS gateway speaks S3: --storage s3 --bucket https://GATEWAY/BUCKET',
  swift: 'Swift’s s3api middleware speaks S3: --storage s3 --bucket https://PROXY/BUCKET',
  ...Object.fromEntries(
    ['hdfs', 'webdav', 'sftp', 'nfs', 'cifs', 'gluster', 'redis', 'tikv', 'etcd', 'mysql', 'postgres', 'sqlite3'].map(
      (name) => [name, 'not an object store with an S3 interface'],
    ),
  ),
};
