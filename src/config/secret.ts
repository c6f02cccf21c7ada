// A Secret's map becomes what the controller or a node may know. The controller's half never copies a private key or a
// passphrase out of the map; one Secret may therefore serve all calls.
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { fail } from '../base/errors.ts';
import { check } from './check.ts';
import { type FormatOptions, parseFormatOptions } from './format-options.ts';
import { secretNames as names, PASSPHRASE_VARIABLE } from './secret-names.ts';

/** Longest value taken; a PEM of RSA-8192 has 6.4 KiB, and CSI asks for 4 KiB per map. */
const MAX_VALUE = 16 * 1024;

/** Where a file system's metadata and objects are. May still hold the file system placeholder. */
export interface Connection {
  readonly name: string | undefined;
  readonly metaUrl: string | undefined;
  readonly storage: string | undefined;
  readonly bucket: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  readonly sessionToken: string | undefined;
  /** Of the database's user, where the metadata url holds none. */
  readonly metaPassword: string | undefined;
  /** PEM: authorities that vouch for database and store. */
  readonly caBundle: string | undefined;
  /** PEM: as whom to come to the database. */
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
}

export interface ProvisionerSecret {
  readonly connection: Connection;
  /** PEM text, SPKI. */
  readonly publicKey: string | undefined;
  /** PEM for the metadata, stored unopened. */
  readonly metadataKey: Buffer | undefined;
  /** A private key of ours is in the Secret; its value was not looked at. */
  readonly hasPrivateKey: boolean;
  readonly formatOptions: FormatOptions;
}

export interface NodeSecret {
  readonly connection: Connection;
  readonly privateKey: Buffer | undefined;
  readonly passphrase: Buffer | undefined;
}

export type SecretMap = Readonly<Record<string, string>>;

const text = z
  .string()
  .max(MAX_VALUE, { error: `longer than ${MAX_VALUE} characters` })
  .refine((value) => !value.includes('\0'), { error: 'holds a NUL byte' });
/** Base64 in a Secret is often made with a trailing newline; in names and addresses it is never meant. */
const line = text
  .transform((value) => value.trim())
  .refine((value) => !/[\r\n]/.test(value), { error: 'wanted one line' });
const optionalLine = line.transform((value) => (value === '' ? undefined : value)).optional();
const pem = text.transform((value) => (value.trim() === '' ? undefined : value)).optional();

/** From its first line on: what does not begin as PEM would be taken for the name of a file further on. */
const block = (begin: RegExp, wanted: string) =>
  pem
    .refine((value) => value === undefined || begin.test(value), { error: `wanted ${wanted}` })
    .transform((value) => value?.slice(value.search(begin)));
const certificates = block(/-----BEGIN CERTIFICATE-----/, 'certificates as PEM');

const connectionSchema = z.object({
  [names.name]: optionalLine,
  [names.metaUrl]: optionalLine,
  [names.storage]: optionalLine,
  [names.bucket]: optionalLine,
  [names.accessKey]: optionalLine,
  [names.secretKey]: optionalLine,
  [names.sessionToken]: optionalLine,
  [names.caBundle]: certificates,
  [names.clientCertificate]: certificates,
  [names.clientKey]: block(/-----BEGIN (?:EC |RSA )?PRIVATE KEY-----/, 'a private key as PEM, without a passphrase'),
  [names.environment]: text.optional(),
});

function connectionOf(map: SecretMap): Connection {
  const fields = check(connectionSchema, map, 'secret');
  const environment = environmentOf(fields[names.environment]);
  /** Under its own key, or as the variable that the original client's driver would set; both must agree. */
  const either = (own: string | undefined, name: string, variable: string): string | undefined => {
    const other = environment(variable);
    if (own !== undefined && other !== undefined && own !== other)
      throw fail('bad-input', `secret: ${name} and ${variable} in ${names.environment} differ`);
    return own ?? other;
  };
  return {
    name: fields[names.name],
    metaUrl: fields[names.metaUrl],
    storage: fields[names.storage]?.toLowerCase(),
    bucket: fields[names.bucket],
    accessKey: either(fields[names.accessKey], names.accessKey, 'ACCESS_KEY'),
    secretKey: either(fields[names.secretKey], names.secretKey, 'SECRET_KEY'),
    sessionToken: either(fields[names.sessionToken], names.sessionToken, 'SESSION_TOKEN'),
    metaPassword: environment('META_PASSWORD'),
    caBundle: fields[names.caBundle],
    clientCertificate: fields[names.clientCertificate],
    clientKey: fields[names.clientKey],
  };
}

const present = (map: SecretMap, name: string): boolean => (map[name] ?? '').trim() !== '';

const provisionerSchema = z.object({
  [names.publicKey]: pem.refine((value) => value === undefined || !value.includes('PRIVATE KEY'), {
    error: `is a private key; wanted the public half (openssl rsa -pubout). Private keys belong under ${names.privateKey} in the node Secret`,
  }),
  [names.metadataKey]: pem,
  [names.formatOptions]: optionalLine,
});

/** What CreateVolume, DeleteVolume, expansion and validation may know. */
export function parseProvisionerSecret(map: SecretMap): ProvisionerSecret {
  const fields = check(provisionerSchema, map, 'secret');
  const metadataKey = fields[names.metadataKey];
  const publicKey = fields[names.publicKey];
  const hasPrivateKey = present(map, names.privateKey);
  if (metadataKey !== undefined && (publicKey !== undefined || hasPrivateKey))
    throw fail(
      'bad-input',
      `secret: ${names.metadataKey} (key kept in the metadata) and ${names.publicKey} or ${names.privateKey} (key kept by you) exclude each other`,
    );
  return {
    connection: connectionOf(map),
    publicKey,
    metadataKey: metadataKey === undefined ? undefined : Buffer.from(metadataKey),
    hasPrivateKey,
    formatOptions: parseFormatOptions(fields[names.formatOptions] ?? ''),
  };
}

const environmentSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

/** Looks up variables in `envs`. Only names that we ask for count; none is ever set anywhere. */
function environmentOf(environment: string | undefined): (name: string) => string | undefined {
  if (environment === undefined || environment.trim() === '') return () => undefined;
  const variables = check(environmentSchema, parseEnvironment(environment), `secret: ${names.environment}`);
  return (name) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    return value === undefined || value === null ? undefined : String(value);
  };
}

/**
 * JSON, or as the JuiceFS CSI driver takes it too, YAML: "{JFS_RSA_PASSPHRASE: 0815}". There every value is the text
 * that stands in it, or a passphrase of digits would lose its zeros. Aliases are refused, since they multiply.
 */
function parseEnvironment(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON; the parsers' own messages quote the text, which holds secrets.
  }
  try {
    return parseYaml(text, { schema: 'failsafe', maxAliasCount: 0, logLevel: 'error', prettyErrors: false });
  } catch {
    throw fail('bad-input', `secret: ${names.environment}: wanted a JSON object or a YAML mapping`);
  }
}

const nodeSchema = z.object({
  [names.privateKey]: pem,
  [names.passphrase]: text.optional(),
  [names.environment]: text.optional(),
});

/** What a node needs to serve a volume; undefined for an empty map (no Secret was named for this call). */
export function parseNodeSecret(map: SecretMap): NodeSecret | undefined {
  if (Object.keys(map).length === 0) return undefined;
  const fields = check(nodeSchema, map, 'secret');
  const fromEnvironment = environmentOf(fields[names.environment])(PASSPHRASE_VARIABLE);
  const own = fields[names.passphrase];
  if (own !== undefined && fromEnvironment !== undefined && own !== fromEnvironment)
    throw fail('bad-input', `secret: ${names.passphrase} and ${PASSPHRASE_VARIABLE} in ${names.environment} differ`);
  const passphrase = own ?? fromEnvironment;
  const privateKey = fields[names.privateKey];
  return {
    connection: connectionOf(map),
    privateKey: privateKey === undefined ? undefined : Buffer.from(privateKey),
    passphrase: passphrase === undefined ? undefined : Buffer.from(passphrase),
  };
}
