// A folder store's files through the addon: one trip to a pool thread where Node's own calls make five.
import type { FileCalls } from '../../base/atomic-file.ts';
import { native } from '../../native/native.ts';

export const nativeFiles: FileCalls = {
  replace: ({ path, temporary, parts, mode, withFolder }) =>
    native.replaceFile(temporary, path, mode, parts, withFolder),
  syncFolder: (folder) => native.syncFolderAsync(folder),
  readSmall: (path, limit) => native.readSmallFile(path, limit),
};
