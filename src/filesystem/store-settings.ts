// Which store a volume's objects are in: the record's, unless the caller names another place or other credentials.
import { openAtRest } from './keys/at-rest.ts';
import type { VolumeSetting } from './meta/read-setting.ts';
import type { StoreSettings } from './store/store.ts';

export function storeSettings({ setting }: VolumeSetting, given: Partial<StoreSettings> = {}): StoreSettings {
  const { storage, bucket, accessKey, secretKey } = setting;
  // A record that a dump left without its secret serves who brings one.
  const own = given.secretKey === undefined && secretKey !== '';
  const secret = own && setting.keyEncrypted ? openAtRest(setting.uuid, secretKey).toString() : secretKey;
  return { storage, bucket, ...(accessKey && { accessKey }), ...(secret && { secretKey: secret }), ...given };
}
