// A place and its Secret in the words of format and of the store's client: what all who make file systems by a Secret share.
import type { ProvisionerSecret } from '../config/secret.ts';
import type { FormatKey } from '../filesystem/format-record.ts';
import type { StoreSettings } from '../filesystem/without-key.ts';
import type { Place } from './place.ts';

export function storeSettingsOf(place: Place): StoreSettings {
  const { storage, bucket, accessKey, secretKey, sessionToken, caBundle } = place;
  return {
    storage,
    bucket,
    ...(accessKey !== undefined && { accessKey }),
    ...(secretKey !== undefined && { secretKey }),
    ...(sessionToken !== undefined && { sessionToken }),
    ...(caBundle !== undefined && { caBundle }),
    remoteOnly: true,
  };
}

/** No private key of ours ever: without the public half the first node that opens the volume claims it. */
export function formatKeyOf(secret: ProvisionerSecret): Exclude<FormatKey, { readonly kind: 'none' }> {
  if (secret.metadataKey !== undefined) return { kind: 'in-metadata', pem: secret.metadataKey };
  if (secret.publicKey === undefined) return { kind: 'self-managed' };
  return { kind: 'self-managed', pem: Buffer.from(secret.publicKey) };
}
