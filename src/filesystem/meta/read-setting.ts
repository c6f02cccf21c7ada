// The record as a volume has it now, with what our own tables say about its key.
import { fail } from '../../base/errors.ts';
import { type Reader, read } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { conversionRows, refuseConversion } from './conversion-lock.ts';
import { allSettings, type LedgerSetting, ledgerSettingOf } from './ledger-setting.ts';
import { recordText } from './record-row.ts';
import { hasOurTables } from './schema.ts';
import { CONVERSION_META_VERSION, newerFormat, parseSetting, type Setting } from './setting.ts';

export interface VolumeSetting {
  readonly setting: Setting;
  readonly ours: LedgerSetting;
}

/** Rejects not-formatted, newer-format, busy (a conversion is under way), metadata-damaged. */
export async function readSetting(engine: Reader): Promise<VolumeSetting> {
  const tables = await hasOurTables(engine);
  // One moment: whatever another client makes of a locked record, nothing here goes by it.
  const { text, ours } = await engine.view(function* () {
    const [[found], lock, settings] = yield* read(
      recordText,
      tables ? conversionRows : undefined,
      tables ? allSettings : undefined,
    );
    refuseConversion(`open ${engine.description}`, lock);
    return { text: found, ours: ledgerSettingOf(settings) };
  });
  if (text === undefined) throw fail('not-formatted', `${engine.description} holds no file system`);
  const setting = parseSetting(text);
  if (setting.metaVersion === CONVERSION_META_VERSION) throw newerFormat(setting.metaVersion);
  return { setting, ours };
}

/** For commands that only want to know. Nothing is written, no session begins. */
export async function readSettingOf(url: string): Promise<VolumeSetting> {
  const engine = await openEngine(url, { readOnly: true });
  try {
    return await readSetting(engine);
  } finally {
    await engine.close();
  }
}
