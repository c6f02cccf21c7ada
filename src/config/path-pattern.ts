// pathPattern of a StorageClass: the directory of a volume in a shared file system, made from the names of PVC and PV.
import { fail } from '../base/errors.ts';
import { checkedDirectory } from './directory.ts';
import type { ClaimNames } from './storage-class.ts';

/** "${pvc.namespace}/${pvc.name}" filled in. Empty and root results are refused; a collision shows at creation. */
export function directoryOf(pattern: string, claim: ClaimNames): string {
  const filled = pattern.replace(/\$\{([^}]*)\}/g, (_whole, name: string) => {
    const value = { 'pvc.name': claim.name, 'pvc.namespace': claim.namespace, 'pv.name': claim.volume }[name.trim()];
    if (value === undefined || value === '')
      throw fail(
        'bad-input',
        `storage class: pathPattern: no value for ${name.trim()} (known: pvc.name, pvc.namespace, pv.name, sent when the provisioner runs with --extra-create-metadata)`,
      );
    // The pattern's own slashes make directories, a value's never.
    if (value.includes('/') || value === '.' || value === '..')
      throw fail('bad-input', `storage class: pathPattern: the value of ${name.trim()} cannot be a directory's name`);
    return value;
  });
  const directory = checkedDirectory(filled.startsWith('/') ? filled : `/${filled}`, 'storage class: pathPattern');
  if (directory === '/') throw fail('bad-input', 'storage class: pathPattern: names the root of the file system');
  if (directory.split('/').includes('.trash'))
    throw fail('bad-input', 'storage class: pathPattern: .trash belongs to the file system');
  return directory;
}
