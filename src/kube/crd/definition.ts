// The CustomResourceDefinition as an object, for the chart and for tests: structural OpenAPI v3 made from the zod schema.
import { z } from 'zod';
import { fileSystemSchema, fileSystems } from './file-system.ts';

type Schema = { readonly [name: string]: unknown };

/** What structural schemas have no place for, or say by themselves. */
const dropped: ReadonlySet<string> = new Set(['$schema', 'additionalProperties']);
/** zod's bounds of a safe integer, which nobody asked for. */
const isSafeBound = (name: string, value: unknown): boolean =>
  (name === 'maximum' || name === 'minimum') && Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER;

/** `input`: fields with a default may be missing in what is sent. */
export function openApiSchema(schema: z.ZodType): Schema {
  return structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as Schema);
}

function structural(schema: Schema): Schema {
  const made: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(schema)) {
    if (dropped.has(name) || isSafeBound(name, value)) continue;
    if (name === 'properties')
      made[name] = Object.fromEntries(
        Object.entries(value as Record<string, Schema>).map(([field, inner]) => [field, structural(inner)]),
      );
    else if (name === 'items') made[name] = structural(value as Schema);
    else made[name] = value;
  }
  if (made['type'] === 'integer') made['format'] = 'int64';
  return made;
}

const columns = [
  { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
  { name: 'Encrypted', type: 'boolean', jsonPath: '.status.encrypted' },
  { name: 'UUID', type: 'string', jsonPath: '.status.uuid' },
  { name: 'Objects', type: 'integer', jsonPath: '.status.counts.objects' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
] as const;

/** To be applied as it stands; labels and annotations are the caller's. */
export function fileSystemDefinition(): {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Schema;
} {
  const { group, version, plural, kind } = fileSystems;
  const schema = openApiSchema(fileSystemSchema);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames: ['pfs'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  };
}
