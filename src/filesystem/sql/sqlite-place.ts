// Where a SQLite database may lie: not on file systems whose locks do not hold.
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fail } from '../../base/errors.ts';

/** Types of statfs(2) whose locks or shared memory SQLite cannot trust. */
const refusedFileSystems: Readonly<Record<number, string>> = {
  1702057286: 'FUSE',
  26985: 'NFS',
  4283649346: 'SMB',
  4266872130: 'SMB',
  20859: 'SMB',
};

export async function refuseUnsafePlace(file: string): Promise<void> {
  const folder = dirname(file);
  const place = await statfs(folder).catch((cause: unknown) => {
    throw fail('metadata-unavailable', `open metadata ${file}: folder ${folder} cannot be reached`, { cause });
  });
  const refused = refusedFileSystems[place.type];
  if (refused === undefined) return;
  throw fail(
    'refused',
    `open metadata ${file}: a SQLite database on ${refused} loses data, its locks do not hold there`,
    {
      hint: 'put the file on a local disk, or use PostgreSQL for several nodes',
    },
  );
}
