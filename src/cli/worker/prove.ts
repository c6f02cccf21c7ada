// Proves that a connection leads to the file system that is mounted and that its key opens it. Reads the record only: no
// session, no store, nothing written.
import { fail } from '../../base/errors.ts';
import { readSettingOf } from '../../filesystem/meta/read-setting.ts';
import { unlock } from '../../filesystem/unlock.ts';
import type { Handoff } from '../../keeper/handoff.ts';
import { keyOf } from './key.ts';

export async function prove(handoff: Handoff): Promise<void> {
  const { metaUrl, keyId: wanted } = handoff.settings;
  const source = await keyOf(handoff);
  const key = unlock(source, await readSettingOf(metaUrl));
  const found = key?.id ?? '';
  key?.wipe();
  if (found !== wanted)
    throw fail('wrong-key', `wanted key ${shown(wanted)} of the mounted volume, found key ${shown(found)}`);
}

const shown = (keyId: string): string => (keyId === '' ? 'none' : keyId.slice(0, 16));
