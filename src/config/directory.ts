// Paths inside a file system, as text. They are resolved by the file system itself, which follows no symbolic link.
import { fail } from '../base/errors.ts';

/** Kernel's PATH_MAX and NAME_MAX. */
const MAX_PATH = 4096;
const MAX_NAME = 255;

/** An absolute path without empty parts, '.' and '..'; '/' is the root. */
export function checkedDirectory(path: string, what: string): string {
  if (!path.startsWith('/')) throw fail('bad-input', `${what}: wanted an absolute path`);
  const names = path.split('/').filter((name) => name !== '');
  if (path.includes('\0') || Buffer.byteLength(path) >= MAX_PATH) throw fail('bad-input', `${what}: not a usable path`);
  for (const name of names)
    if (name === '.' || name === '..' || Buffer.byteLength(name) > MAX_NAME)
      throw fail('bad-input', `${what}: wanted names of up to ${MAX_NAME} bytes without . and ..`);
  return `/${names.join('/')}`;
}
