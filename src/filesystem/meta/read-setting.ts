// The record as a volume has it now, with what our own tables say about its key.
import { fail } from '../../base/errors.ts';
import { query, type Reader, read } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { type LedgerSetting, readLedgerSetting } from './ledger-setting.ts';
import { settingText } from './record-row.ts';
import { textAt } from './rows.ts';
import { hasOurTables } from './schema.ts';
import { CONVERSION_META_VERSION, newerFormat, parseSetting, type Setting } from './setting.ts';

export interface VolumeSetting {
  readonly setting: Setting;
  readonly ours: LedgerSetting;
}

const anyLock = query('SELECT name FROM pageseal_lock LIMIT 1', [], (row) => textAt(row, 0));

/** Rejects not-formatted, newer-format, busy (a conversion is under way), metadata-damaged. */
export async function readSetting(engine: Reader): Promise<VolumeSetting> {
  const text = await engine.view(settingText);
  if (text === undefined) throw fail('not-formatted', `${engine.description} holds no file system`);
  const setting = parseSetting(text);
  if (setting.metaVersion === CONVERSION_META_VERSION) {
    const locked =
      (await hasOurTables(engine)) &&
      (await engine.view(function* () {
        const [names] = yield* read(anyLock);
        return names.length > 0;
      }));
    if (!locked) throw newerFormat(setting.metaVersion);
    throw fail('busy', `${engine.description}: encryption of file system ${setting.name} is being changed`);
  }
  return { setting, ours: await readLedgerSetting(engine) };
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
