// The FileSystem object: one schema, from which the types, the program's checks and the CRD are made. Rules that the API
// server checks in CEL stand on the parent, where has() can ask for a field that may be missing.
import { z } from 'zod';
import { check } from '../../config/check.ts';
import { compressions, MAX_TRASH_DAYS } from '../../config/format-options.ts';
import type { KubeObject } from '../objects.ts';
import type { Resource } from '../resources.ts';

export const GROUP = 'pageseal.dev';
export const FILE_SYSTEM_FINALIZER = 'pageseal.dev/file-system';

/** A rule of the API server: CEL over `self` and, on an update, `oldSelf`. */
interface Rule {
  readonly rule: string;
  readonly message: string;
}

const rules = (...all: readonly Rule[]): { 'x-kubernetes-validations': readonly Rule[] } => ({
  'x-kubernetes-validations': all,
});

/** Once it is there it stays as it is. */
const stays = (name: string): Rule => ({
  rule: `!has(oldSelf.${name}) || (has(self.${name}) && self.${name} == oldSelf.${name})`,
  message: `${name} cannot be changed: it was laid down when the file system was made`,
});

const UUID = '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$';
const PAGE_SIZE = '^((64|128|256|512)[kK]|(1|2|4|8|16)[mM])(i?[bB])?$';
const MAX_MESSAGE = 4096;
const MAX_CONDITIONS = 16;

const spec = z
  .object({
    secretName: z
      .string()
      .min(1)
      .max(253)
      .describe(
        'Secret in the same namespace that says where metadata and objects are (name, metaurl, storage, bucket, access-key, secret-key, rsa-public-key, ...).',
      ),
    encryption: z
      .enum(['required', 'none'])
      .default('required')
      .describe(
        'required: data is encrypted, or the file system is not Ready. An empty unencrypted one is turned encrypted.',
      ),
    compression: z.enum(compressions).optional().describe('Of a new file system.'),
    pageSize: z.string().max(16).optional().describe('Of a new file system: a power of two between 64KiB and 16MiB.'),
    trashDays: z
      .int()
      .min(0)
      .max(MAX_TRASH_DAYS)
      .optional()
      .describe('Of a new file system: days that removed files are kept.'),
    hashPrefix: z.boolean().optional().describe('Of a new file system: object names begin with a hash.'),
    deletionPolicy: z
      .enum(['Retain', 'Delete'])
      .default('Retain')
      .describe(
        'What deleting this object does to the file system: Retain only lets go, Delete removes objects and metadata.',
      ),
    wipe: z
      .object({ confirm: z.string().max(36).describe('UUID of the file system, as status.uuid shows it.') })
      .optional()
      .describe('Removes everything in the file system, once for each value of confirm.'),
  })
  .meta(
    rules(
      {
        rule: "!(has(oldSelf.encryption) && oldSelf.encryption == 'required' && has(self.encryption) && self.encryption == 'none')",
        message: 'encryption cannot go from required to none',
      },
      stays('secretName'),
      stays('compression'),
      stays('pageSize'),
      stays('hashPrefix'),
      {
        rule: `!has(self.pageSize) || self.pageSize.matches('${PAGE_SIZE}')`,
        message: 'pageSize: wanted a power of two between 64KiB and 16MiB',
      },
      {
        rule: `!has(self.wipe) || self.wipe.confirm.matches('${UUID}')`,
        message: 'wipe.confirm: wanted the UUID of the file system, as status.uuid shows it',
      },
    ),
  );

const count = z.int().min(0).optional();
const text = z.string().max(MAX_MESSAGE);
const time = z.string().meta({ format: 'date-time' });

const condition = z.object({
  type: z.string().max(316),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().max(1024),
  message: text,
  lastTransitionTime: time,
  observedGeneration: z.int().optional(),
});

export const phases = [
  'Pending',
  'Formatting',
  'Ready',
  'Locked',
  'Wiping',
  'Blocked',
  'Deleting',
  'Conflict',
] as const;

const status = z.object({
  observedGeneration: z.int().optional(),
  uuid: z.string().max(36).optional().describe('Of the file system that the Secret leads to.'),
  phase: z.enum(phases).optional(),
  owner: z.enum(['operator', 'csi', 'user']).optional().describe('Who made it; only the owner formats or wipes.'),
  encryption: z.string().max(64).optional().describe('Who keeps the key: self-managed, in-metadata or unencrypted.'),
  encrypted: z.boolean().optional(),
  counts: z
    .object({
      inodes: count,
      trash: count,
      sustained: count,
      pendingSlices: count,
      delayedSlices: count,
      snapshots: count,
      objects: count,
      sessions: count,
    })
    .optional()
    .describe('What was found when it was last looked at.'),
  wipe: z
    .object({
      confirmed: z.string().max(36).optional().describe('Value of spec.wipe.confirm that was acted on.'),
      uuid: z.string().max(36).optional(),
      objectsRemoved: count,
      startedAt: time.optional(),
      finishedAt: time.optional(),
    })
    .optional(),
  conditions: z
    .array(condition)
    .max(MAX_CONDITIONS)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
});

export type FileSystemSpec = z.infer<typeof spec>;
export type FileSystemStatus = z.infer<typeof status>;
export type Phase = (typeof phases)[number];

export interface FileSystemObject extends KubeObject {
  readonly spec: z.input<typeof spec>;
  readonly status?: FileSystemStatus;
}

export const fileSystems: Resource<FileSystemObject> = {
  group: GROUP,
  version: 'v1alpha1',
  plural: 'filesystems',
  kind: 'FileSystem',
  namespaced: true,
};

/** With defaults, also where an object was stored before a default existed. */
export const parseFileSystemSpec = (object: FileSystemObject): FileSystemSpec =>
  check(spec, object.spec, `file system ${object.metadata.namespace}/${object.metadata.name}`);

/** What the CRD's schema is made of. */
export const fileSystemSchema = z
  .object({ spec, status: status.optional() })
  .describe(
    'A file system of Pageseal that is declared: made when missing, and shown to be encrypted before it is used.',
  );
