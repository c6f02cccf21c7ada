// The volume context of a PV: written by CreateVolume, or by whoever wrote a static PV. Checked as strictly as if a
// stranger had written it.
import { z } from 'zod';
import { fail } from '../base/errors.ts';
import { check } from './check.ts';
import { checkedDirectory } from './directory.ts';
import { ignoredContextPrefixes, contextNames as names } from './volume-context-names.ts';

export interface VolumeContext {
  /** Stands in for the placeholder in the Secret. */
  readonly fileSystem: string | undefined;
  readonly directory: string;
  readonly uuid: string | undefined;
  readonly encryption: 'required' | 'none';
}

const schema = z.object({
  [names.fileSystem]: z
    .string()
    .regex(/^pvc-[0-9a-f]{32}$/, { error: 'wanted pvc- and 32 hexadecimal digits' })
    .optional(),
  [names.directory]: z.string().default('/'),
  [names.uuid]: z
    .string()
    .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, { error: 'wanted a UUID in lower case' })
    .optional(),
  [names.encryption]: z.enum(['required', 'none'], { error: 'wanted required or none' }).default('required'),
});

const known: ReadonlySet<string> = new Set(Object.values(names));

export function parseVolumeContext(context: Readonly<Record<string, string>>): VolumeContext {
  for (const name of Object.keys(context))
    if (!known.has(name) && !ignoredContextPrefixes.some((prefix) => name.startsWith(prefix)))
      throw fail('bad-input', `volume attributes: unknown name ${name}`);
  const fields = check(schema, context, 'volume attributes');
  return {
    fileSystem: fields[names.fileSystem],
    directory: checkedDirectory(fields[names.directory], `volume attributes: ${names.directory}`),
    uuid: fields[names.uuid],
    encryption: fields[names.encryption],
  };
}

export function volumeContextOf(context: VolumeContext): Record<string, string> {
  return {
    ...(context.fileSystem === undefined ? {} : { [names.fileSystem]: context.fileSystem }),
    [names.directory]: context.directory,
    ...(context.uuid === undefined ? {} : { [names.uuid]: context.uuid }),
    [names.encryption]: context.encryption,
  };
}
