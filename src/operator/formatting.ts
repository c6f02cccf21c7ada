// A declared file system that is not there is made, under a UUID that the status names first: so whoever was cut short
// knows its own work again.
import { randomUUID } from 'node:crypto';
import { hasCode } from '../base/errors.ts';
import { type FormatOptions, mergeFormatOptions } from '../config/format-options.ts';
import { pageSizeOf } from '../config/page-size.ts';
import type { ProvisionerSecret } from '../config/secret.ts';
import { formatKeyOf, storeSettingsOf } from '../connection/file-system.ts';
import type { Place } from '../connection/place.ts';
import { formatVolume } from '../filesystem/format.ts';
import type { FileSystemSpec } from '../kube/crd/file-system.ts';
import type { Report } from './report.ts';

export interface Declared {
  readonly place: Place;
  readonly name: string;
  readonly spec: FileSystemSpec;
  readonly secret: ProvisionerSecret;
}

export async function makeFileSystem(declared: Declared, report: Report): Promise<void> {
  const { phase, uuid: known } = report.status;
  const uuid = phase === 'Formatting' && known !== undefined ? known : randomUUID();
  const message = `making file system ${declared.name}`;
  await report.write({ phase: 'Formatting', uuid }, { type: 'Ready', status: 'False', reason: 'Formatting', message });
  await format(declared, uuid);
  report.event('Normal', 'Formatted', `made file system ${declared.name} with UUID ${uuid}`);
}

/** What this object's formatting may have left undone. */
export async function finishFormatting(declared: Declared, report: Report): Promise<void> {
  const { phase, uuid } = report.status;
  if (phase !== 'Formatting' || uuid === undefined) return;
  try {
    await format(declared, uuid);
  } catch (thrown) {
    // Somebody else's, or with other settings: looked at like any that was there.
    if (!hasCode(thrown, 'already-formatted')) throw thrown;
  }
}

async function format({ place, name, spec, secret }: Declared, uuid: string): Promise<void> {
  const { algorithm, ...settings } = mergeFormatOptions(settingsOf(spec), secret.formatOptions);
  await formatVolume({
    metaUrl: place.metaUrl,
    name,
    uuid,
    store: storeSettingsOf(place),
    key: spec.encryption === 'none' ? { kind: 'none' } : formatKeyOf(secret),
    owner: 'operator',
    ...settings,
    ...(algorithm !== undefined && { encryptAlgo: algorithm }),
  });
}

function settingsOf({ compression, pageSize, trashDays, hashPrefix }: FileSystemSpec): FormatOptions {
  const bytes = pageSize === undefined ? undefined : pageSizeOf(pageSize);
  return {
    ...(compression !== undefined && { compression }),
    ...(bytes !== undefined && { pageSize: bytes }),
    ...(trashDays !== undefined && { trashDays }),
    ...(hashPrefix !== undefined && { hashPrefix }),
  };
}
