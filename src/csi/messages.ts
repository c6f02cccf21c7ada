// Requests of csi.proto as zod schemas: what the specification says is required is checked here, before any handler.
import { z } from 'zod';

/** CSI bounds ids and names to 128 bytes; static handles get some grace. */
const MAX_ID = 256;
const MAX_PATH = 4096;
/** CSI asks for 4 KiB per map; a Secret with an RSA-4096 PEM and its passphrase comes near. More is no Secret. */
const MAX_MAP_ENTRIES = 256;

const missing = { error: 'is missing' };
/** Ids, names and paths end up in log lines and file names' digests. */
const printable = (value: string): boolean => !/\p{Cc}/u.test(value);
const text = (limit: number) =>
  z
    .string()
    .min(1, missing)
    .refine((value) => Buffer.byteLength(value) <= limit, { error: `longer than ${limit} bytes` })
    .refine(printable, { error: 'holds control characters' });
const path = text(MAX_PATH);
const optionalPath = z.string().max(MAX_PATH).refine(printable, { error: 'holds control characters' });
const map = z
  .record(z.string(), z.string())
  .refine((entries) => Object.keys(entries).length <= MAX_MAP_ENTRIES, { error: 'too many entries' });
const int64 = z.string().transform((value) => BigInt(value));

const capability = z.object(
  {
    block: z.object({}).nullish(),
    mount: z.object({ fsType: z.string(), mountFlags: z.array(z.string()), volumeMountGroup: z.string() }).nullish(),
    accessMode: z.object({ mode: z.string() }, missing),
  },
  missing,
);
export type Capability = z.infer<typeof capability>;

const oneCapability = z.preprocess((value) => value ?? undefined, capability);

const capacityRange = z.object({ requiredBytes: int64, limitBytes: int64 });
export type CapacityRange = z.infer<typeof capacityRange>;

const topology = z.object({ segments: z.record(z.string(), z.string()) });
const topologyRequirement = z.object({ requisite: z.array(topology), preferred: z.array(topology) });
export type TopologyRequirement = z.infer<typeof topologyRequirement>;

export const empty = z.object({});

export const createVolume = z.object({
  name: text(MAX_ID),
  capacityRange: capacityRange.nullish(),
  volumeCapabilities: z.array(capability).min(1, missing),
  parameters: map,
  secrets: map,
  volumeContentSource: z.object({}).nullish(),
  accessibilityRequirements: topologyRequirement.nullish(),
  mutableParameters: map,
});
export type CreateVolume = z.infer<typeof createVolume>;

export const deleteVolume = z.object({ volumeId: text(MAX_ID), secrets: map });
export type DeleteVolume = z.infer<typeof deleteVolume>;

export const expandVolume = z.object({
  volumeId: text(MAX_ID),
  capacityRange: z.preprocess((value) => value ?? undefined, capacityRange),
  secrets: map,
  volumeCapability: capability.nullish(),
});
export type ExpandVolume = z.infer<typeof expandVolume>;

export const validateCapabilities = z.object({
  volumeId: text(MAX_ID),
  volumeContext: map,
  volumeCapabilities: z.array(capability).min(1, missing),
  parameters: map,
  secrets: map,
  mutableParameters: map,
});
export type ValidateCapabilities = z.infer<typeof validateCapabilities>;

export const stageVolume = z.object({
  volumeId: text(MAX_ID),
  stagingTargetPath: path,
  volumeCapability: oneCapability,
  secrets: map,
  volumeContext: map,
});
export type StageVolume = z.infer<typeof stageVolume>;

export const unstageVolume = z.object({ volumeId: text(MAX_ID), stagingTargetPath: path });
export type UnstageVolume = z.infer<typeof unstageVolume>;

export const publishVolume = z.object({
  volumeId: text(MAX_ID),
  stagingTargetPath: optionalPath,
  targetPath: path,
  volumeCapability: oneCapability,
  readonly: z.boolean(),
  secrets: map,
  volumeContext: map,
});
export type PublishVolume = z.infer<typeof publishVolume>;

export const unpublishVolume = z.object({ volumeId: text(MAX_ID), targetPath: path });
export type UnpublishVolume = z.infer<typeof unpublishVolume>;

export const volumeStats = z.object({ volumeId: text(MAX_ID), volumePath: path, stagingTargetPath: optionalPath });
export type VolumeStats = z.infer<typeof volumeStats>;

export const volumeHealth = z.object({
  volumeId: text(MAX_ID),
  volumePublishPath: optionalPath,
  stagingTargetPath: optionalPath,
});
export type VolumeHealth = z.infer<typeof volumeHealth>;
