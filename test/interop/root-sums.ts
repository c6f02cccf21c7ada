// Before the original client mounts: the root has its sums.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Place, rows } from '../harness/place.ts';
import { until } from '../harness/program.ts';

/**
 * A directory's sums begin with the first change: if they were made by counting while the original client still holds back
 * changes of its own, those would be in them twice. `mount` is one of ours.
 */
export async function startRootSums(place: Place, mount: string): Promise<void> {
  await writeFile(join(mount, 'first'), '');
  const sums = 'SELECT 1 FROM jfs_dir_stats WHERE inode = 1';
  await until('the root has its sums', async () => (await rows(place, sums)).length > 0);
}
