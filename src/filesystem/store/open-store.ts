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
      return new RetryingStore(await openFolder(settings.bucket, options));
    case 'mem': {
      const { MemStore } = await import('./mem-store.ts');
      return new MemStore(settings.bucket);
    }
    default: {
      if (!isS3Kind(settings.storage)) throw unsupported(settings.storage);
      const { openS3 } = await import('./s3-open.ts');
      return new RetryingStore(await openS3(settings, options.create === true));
    }
  }
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
