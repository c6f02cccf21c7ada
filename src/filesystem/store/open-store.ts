// Chooses the store that settings name. Each is imported only when it is used.
import { mkdir, stat } from 'node:fs/promises';
import type { FileCalls } from '../../base/atomic-file.ts';
import { fail } from '../../base/errors.ts';
import { RetryingStore } from './retrying-store.ts';
import { isS3Kind, s3Kinds, withoutS3 } from './s3-kinds.ts';
import type { ObjectStore, StoreSettings } from './store.ts';

export interface OpenStoreOptions {
  /** Make the bucket if there is none: format only. A mount must not mistake a disk that is missing for an empty one. */
  readonly create?: boolean;
  readonly files?: FileCalls | undefined;
}

/** Rejects: unsupported (storage), bad-input (bucket), store-unavailable (no such bucket). */
export async function openStore(settings: StoreSettings, options: OpenStoreOptions = {}): Promise<ObjectStore> {
  switch (settings.storage) {
    case 'file':
      return new RetryingStore(await limited(await openFolder(settings.bucket, options), settings));
    case 'mem': {
      const { MemStore } = await import('./mem-store.ts');
      return limited(new MemStore(settings.bucket), settings);
    }
    default: {
      if (!isS3Kind(settings.storage)) throw unsupported(settings.storage);
      const { openS3 } = await import('./s3-open.ts');
      return new RetryingStore(await limited(await openS3(settings, options.create === true), settings));
    }
  }
}

/** Below the retries: what is sent again counts again. */
async function limited(
  store: ObjectStore,
  { uploadLimit = 0, downloadLimit = 0 }: StoreSettings,
): Promise<ObjectStore> {
  if (uploadLimit <= 0 && downloadLimit <= 0) return store;
  const { ByteRate, LimitedStore } = await import('./limited-store.ts');
  const rate = (mbit: number): InstanceType<typeof ByteRate> | undefined => (mbit > 0 ? new ByteRate(mbit) : undefined);
  return new LimitedStore(store, { upload: rate(uploadLimit), download: rate(downloadLimit) });
}

function unsupported(storage: string): Error {
  const hint = withoutS3[storage];
  return fail('unsupported', `storage ${JSON.stringify(storage)}: wanted file, s3 or a store with an S3 interface`, {
    hint: hint ?? `known: file, s3, ${Object.keys(s3Kinds).join(', ')}`,
  });
}

async function openFolder(bucket: string, { create, files }: OpenStoreOptions): Promise<ObjectStore> {
  const { FileStore } = await import('./file-store.ts');
  const store = new FileStore(bucket, files);
  try {
    if (create) await mkdir(bucket, { recursive: true });
    if ((await stat(bucket)).isDirectory()) return store;
  } catch (thrown) {
    throw fail('store-unavailable', `open ${store.description}: ${(thrown as Error).message}`, {
      cause: thrown,
      hint: 'is the disk mounted, and may this user read the folder?',
    });
  }
  throw fail('store-unavailable', `open ${store.description}: not a folder`);
}
