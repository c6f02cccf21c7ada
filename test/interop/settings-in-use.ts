// Settings of a volume that is mounted by both clients: changed by either, and waited for until each mount keeps them.
import assert from 'node:assert/strict';
import { TRASH } from '../../src/filesystem/meta/types.ts';
import type { Juicefs } from '../harness/juicefs.ts';
import type { Pageseal } from '../harness/pageseal.ts';
import { type Place, rows } from '../harness/place.ts';
import { runOk, until } from '../harness/program.ts';
import { placeViolations } from '../model/invariants.ts';
import type { Judge } from '../model/judge.ts';

export interface MountedByBoth {
  readonly metaUrl: string;
  readonly place: Place;
  readonly tops: readonly string[];
  readonly clients: readonly [Pageseal, Juicefs];
}

const GIB = 2 ** 30;

/** Both clients add up late what they changed; a quota that is set begins with what has been added by then. */
const unsettled = async ({ place }: MountedByBoth): Promise<readonly string[]> =>
  (await placeViolations(place, { original: true })).filter((line) => /^(sums|totals) of/.test(line));

/** By one client, on a directory; each mount has to know it before it changes anything, or would not count that. */
export async function setQuota(both: MountedByBoth, client: number, path: string, inodes: number): Promise<void> {
  const { clients, metaUrl, tops } = both;
  await until('what has been changed is added up', async () => (await unsettled(both)).length === 0).catch(async () => {
    // Seen once with the trash off, for a cause that was not found. quota-mix is strict about it.
    process.stderr.write(`counted anew by the original client:\n${(await unsettled(both)).join('\n')}\n`);
    await clients[1].ok(['fsck', metaUrl, '--path', '/', '--recursive', '--repair', '--sync-dir-stat']);
    assert.deepEqual(await unsettled(both), []);
  });
  await clients[client]?.ok(['quota', 'set', metaUrl, '--path', path, '--capacity', '10', '--inodes', `${inodes}`]);
  for (const top of tops)
    await until(`${top} keeps the quota of ${path}`, async () => {
      const [blocks = 0, size = 0] = (await runOk('stat', ['-f', '-c', '%b %S', `${top}${path}`]))
        .split(' ')
        .map(Number);
      return blocks * size <= 10 * GIB;
    });
}

/** By one client; then each mount is looked at until what it removes goes where it should. */
export async function setTrash(both: MountedByBoth, client: number, days: number, judge: Judge): Promise<void> {
  const { clients, place, metaUrl, tops } = both;
  await clients[client]?.ok(['config', metaUrl, '--trash-days', `${days}`, '--yes']);
  const trashed = 'SELECT 1 FROM jfs_edge WHERE parent > ? AND CAST(name AS TEXT) LIKE ?';
  let probes = 0;
  for (const m of tops.keys())
    await until(`mount ${m} follows`, async () => {
      const p = `probe-${client}-${days}-${m}-${++probes}-`;
      await judge.step({ op: 'create', m, p, mode: 0o644, exclusive: true });
      await judge.step({ op: 'unlink', m, p });
      return (await rows(place, trashed, TRASH, `%${p}`)).length > 0 === days > 0;
    });
  judge.model.trashIsOn = days > 0;
}
