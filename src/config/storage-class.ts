// StorageClass parameters as CreateVolume receives them become checked settings. Key material here is refused: anybody
// who may list StorageClasses would read it.
import { z } from 'zod';
import { fail } from '../base/errors.ts';
import { check } from './check.ts';
import { compressions, type FormatOptions, MAX_TRASH_DAYS, trashDaysOf } from './format-options.ts';
import { pageSizeOf } from './page-size.ts';
import { secretNames } from './secret-names.ts';
import { claimNames, IGNORED_PREFIX, parameterNames as names, SIDECAR_PREFIX } from './storage-class-names.ts';

export type CacheClass = 'verified' | 'attested' | 'open';

export interface ClaimNames {
  readonly name: string | undefined;
  readonly namespace: string | undefined;
  readonly volume: string | undefined;
}

export interface StorageClass {
  readonly encryption: 'required' | 'none';
  readonly format: FormatOptions;
  readonly pathPattern: string | undefined;
  /** A declared file system, "namespace/name". */
  readonly fileSystem: string | undefined;
  readonly cache: { readonly class: CacheClass; readonly size: string | undefined; readonly required: boolean };
  readonly claim: ClaimNames;
  /** Accepted names without effect, for the log. */
  readonly ignored: readonly string[];
}

const flag = z.enum(['true', 'false'], { error: 'wanted true or false' }).transform((value) => value === 'true');

/** Parameters as text; the chart's schema is made of them too. */
export const parameterSchema = z.object({
  [names.encryption]: z.enum(['required', 'none'], { error: 'wanted required or none' }).default('required'),
  [names.compression]: z.enum(compressions, { error: `wanted ${compressions.join(', ')}` }).optional(),
  [names.pageSize]: z
    .string()
    .transform((value) => pageSizeOf(value) ?? 0)
    .refine((bytes) => bytes > 0, { error: 'wanted a power of two between 64KiB and 16MiB' })
    .optional(),
  [names.trashDays]: z
    .string()
    .transform((value) => trashDaysOf(value) ?? -1)
    .refine((days) => days >= 0, { error: `wanted a number up to ${MAX_TRASH_DAYS}` })
    .optional(),
  [names.hashPrefix]: flag.optional(),
  [names.enableAcl]: flag.optional(),
  [names.pathPattern]: z.string().max(512, { error: 'longer than 512 characters' }).optional(),
  [names.fileSystem]: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}\/[a-z0-9][a-z0-9.-]{0,252}$/, { error: 'wanted namespace/name' })
    .optional(),
  [names.cacheClass]: z
    .enum(['verified', 'attested', 'open'], { error: 'wanted verified, attested or open' })
    .default('verified'),
  [names.cacheSize]: z
    .string()
    .regex(/^[0-9]{1,12}([KMGT]i?B?)?$/, { error: 'wanted a size such as 10Gi' })
    .optional(),
  [names.cacheRequired]: flag.default(false),
});

const known: ReadonlySet<string> = new Set(Object.values(names));
const ofSecrets: ReadonlySet<string> = new Set(Object.values(secretNames));
/** Names under which people try to hand over keys; a value that is a PEM is refused under any name. */
const looksLikeKey = /(rsa|encrypt|private|passphrase|password|secret|token|pem)/i;

/** Every name must be one of ours, a sidecar's, or one known to mean nothing. */
function sortNames(parameters: Readonly<Record<string, string>>): string[] {
  const ignored: string[] = [];
  for (const [name, value] of Object.entries(parameters)) {
    if (value.includes('-----BEGIN') || (!known.has(name) && !name.startsWith(SIDECAR_PREFIX) && refusedKey(name)))
      throw fail(
        'bad-input',
        `storage class: ${name}: keys and connections do not belong here; put them into a Secret named by ${SIDECAR_PREFIX}provisioner-secret-name and ${SIDECAR_PREFIX}node-stage-secret-name`,
      );
    if (name.startsWith(IGNORED_PREFIX)) ignored.push(name);
    else if (!known.has(name) && !name.startsWith(SIDECAR_PREFIX))
      throw fail('bad-input', `storage class: unknown parameter ${name}`);
  }
  return ignored;
}

const refusedKey = (name: string): boolean =>
  ofSecrets.has(name) || (!name.startsWith(IGNORED_PREFIX) && looksLikeKey.test(name));

export function parseStorageClass(parameters: Readonly<Record<string, string>>): StorageClass {
  const ignored = sortNames(parameters);
  const fields = check(parameterSchema, parameters, 'storage class');
  const pageSize = fields[names.pageSize];
  const compression = fields[names.compression];
  const trashDays = fields[names.trashDays];
  const hashPrefix = fields[names.hashPrefix];
  const enableAcl = fields[names.enableAcl];
  return {
    encryption: fields[names.encryption],
    format: {
      ...(pageSize === undefined ? {} : { pageSize }),
      ...(compression === undefined ? {} : { compression }),
      ...(trashDays === undefined ? {} : { trashDays }),
      ...(hashPrefix === undefined ? {} : { hashPrefix }),
      ...(enableAcl === undefined ? {} : { enableAcl }),
    },
    pathPattern: fields[names.pathPattern],
    fileSystem: fields[names.fileSystem],
    cache: { class: fields[names.cacheClass], size: fields[names.cacheSize], required: fields[names.cacheRequired] },
    claim: {
      name: parameters[claimNames.name],
      namespace: parameters[claimNames.namespace],
      volume: parameters[claimNames.volume],
    },
    ignored,
  };
}
