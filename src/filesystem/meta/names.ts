// What may be a name in a directory, a symlink's target and an extended attribute's name. Checks bytes only; it never
// looks at the tree.
import { fail } from '../../base/errors.ts';
import { type Ino, ROOT } from './types.ts';

/** Longest name in a directory; the column has no limit, the format and the kernel do. */
export const MAX_NAME = 255;
/** Longest symlink target: PATH_MAX less the final NUL. */
export const MAX_TARGET = 4095;
/** Longest name of an extended attribute (XATTR_NAME_MAX). */
export const MAX_XATTR_NAME = 255;
/** Largest value of an extended attribute (XATTR_SIZE_MAX). */
export const MAX_XATTR_VALUE = 65_536;

const SLASH = 0x2f;
const NUL = 0;

/** Nodes of the original client's mounts that exist nowhere else; `.trash` is real, the others never are here. */
const reserved: ReadonlySet<string> = new Set(['.trash', '.accesslog', '.control', '.stats', '.config']);

/** True for the way into the trash: the name `.trash` in the root, which no edge holds. */
export const isTrashName = (parent: Ino, name: Buffer): boolean => parent === ROOT && name.toString() === '.trash';

/** True for a name that the original client shows in its root by itself: a node of that name would be unreachable there. */
export const isReserved = (parent: Ino, name: Buffer): boolean => parent === ROOT && reserved.has(name.toString());

/** A name as text for an error message: what is not printable is escaped. */
export const shown = (name: Buffer): string => JSON.stringify(name.subarray(0, MAX_NAME).toString('utf8'));

export const isDots = (name: Buffer): boolean => {
  const text = name.length <= 2 ? name.toString('latin1') : '';
  return text === '.' || text === '..';
};

/** Fails with ENAMETOOLONG or EINVAL when `name` cannot be an entry. */
export function checkName(name: Buffer): void {
  if (name.length > MAX_NAME)
    throw fail('ENAMETOOLONG', `a name has at most ${MAX_NAME} bytes, this one has ${name.length}`);
  if (name.length === 0) throw fail('EINVAL', 'a name cannot be empty');
  if (isDots(name) || name.includes(SLASH) || name.includes(NUL))
    throw fail('EINVAL', `a name cannot be ".", ".." or hold "/" or NUL, found ${shown(name)}`);
}

/** Fails as symlink(2) does for a target that cannot be. */
export function checkTarget(target: Buffer): void {
  if (target.length === 0) throw fail('ENOENT', 'the target of a symbolic link cannot be empty');
  if (target.length > MAX_TARGET)
    throw fail('ENAMETOOLONG', `a target has at most ${MAX_TARGET} bytes, this one has ${target.length}`);
  if (target.includes(NUL)) throw fail('EINVAL', 'the target of a symbolic link cannot hold NUL');
}

/** Fails with ERANGE (setxattr(2)) or EINVAL. */
export function checkXattrName(name: string): void {
  const length = Buffer.byteLength(name);
  if (length === 0 || length > MAX_XATTR_NAME)
    throw fail('ERANGE', `an attribute's name has 1 to ${MAX_XATTR_NAME} bytes, this one has ${length}`);
  if (name.includes('\0')) throw fail('EINVAL', "an attribute's name cannot hold NUL");
}
