// Which store a volume's objects are in: the record's, unless the caller names another place or other credentials.
import { openAtRest, REMOVED } from './keys/at-rest.ts';
import type { VolumeSetting } from './meta/read-setting.ts';
import type { StoreSettings } from './store/store.ts';

export function storeSettings({ setting }: VolumeSetting, given: Partial<StoreSettings> = {}): StoreSettings {
  const { storage, bucket, accessKey, storageClass, uploadLimit, downloadLimit } = setting;
  // Opened only where they are used: a record that a dump left without its secrets serves who brings them.
  const opened = (name: 'secretKey' | 'sessionToken'): string => {
    const text = setting[name];
    return text !== '' && (setting.keyEncrypted || text === REMOVED) ? openAtRest(setting.uuid, text).toString() : text;
  };
  const limits = { ...(uploadLimit > 0 && { uploadLimit }), ...(downloadLimit > 0 && { downloadLimit }) };
  const place = { storage, bucket, ...(storageClass && { storageClass }), ...limits };
  // A token belongs to its pair: the record's pair and token never mix with a pair that is given.
  const pairGiven = given.accessKey !== undefined || given.secretKey !== undefined;
  const secretKey = pairGiven ? '' : opened('secretKey');
  const sessionToken = pairGiven || given.sessionToken !== undefined ? '' : opened('sessionToken');
  const own = {
    ...(accessKey && { accessKey }),
    ...(secretKey && { secretKey }),
    ...(sessionToken && { sessionToken }),
  };
  return { ...place, ...own, ...given };
}
