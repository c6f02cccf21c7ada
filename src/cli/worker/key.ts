// Which key the settings mean. Whether a volume is encrypted is the caller's word; the record is only asked where the
// caller has no key of its own and leaves it open.
import { fail } from '../../base/errors.ts';
import { readSettingOf } from '../../filesystem/meta/read-setting.ts';
import type { KeySource } from '../../filesystem/options.ts';
import { custodyOf } from '../../filesystem/unlock.ts';
import type { Handoff } from '../../keeper/handoff.ts';

/** Rejects `permission-denied` when the record is another file system's. The buffers are copies, wiped once opened. */
export async function keyOf({ settings, pem, passphrase, der }: Handoff): Promise<KeySource | undefined> {
  const volume = await readSettingOf(settings.metaUrl);
  const { uuid } = volume.setting;
  if (settings.uuid !== '' && settings.uuid !== uuid)
    throw fail('permission-denied', `the connection leads to file system ${uuid}, wanted ${settings.uuid}`);
  if (der !== undefined) return { kind: 'unlocked', der: Buffer.from(der) };
  const secret = passphrase === undefined ? {} : { passphrase: Buffer.from(passphrase) };
  if (pem !== undefined) return { kind: 'pem', pem: Buffer.from(pem), ...secret };
  if (settings.encryptionRequired || custodyOf(volume) === 'in-metadata') return { kind: 'in-metadata', ...secret };
  return undefined;
}
