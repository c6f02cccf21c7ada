// What a starting keeper finds of the one before: descriptors that somebody held, and mounts in its own directory that
// nobody brings descriptors for.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { log } from '../base/log.ts';
import { counter } from '../base/metrics.ts';
import { isVolume, removeMount } from './bind.ts';
import type { HandOver } from './hand-over.ts';
import type { Offer } from './holder-link.ts';
import { type MountEntry, mounts } from './mountinfo.ts';
import { ownMountPoint, removeOwnFolder } from './own-mounts.ts';
import type { VolumeRecord } from './records.ts';

const adoptions = counter('pageseal_keeper_adopted_volumes_total', 'Volumes taken over from a keeper that was gone');
const losses = counter('pageseal_keeper_lost_volumes_total', 'Volumes that nobody could take over');

/** Waits for whoever has the descriptors of what is mounted; not at all where nothing is. */
export function gatherOffers(handOver: HandOver, directory: string, signal: AbortSignal): Promise<readonly Offer[]> {
  const complete = (offers: readonly Offer[]): boolean => {
    const offered = new Set(offers.map(({ volumeId }) => ownMountPoint(directory, volumeId)));
    return ownMounts(directory).every(({ path }) => offered.has(path));
  };
  return handOver.gather(complete, signal);
}

/** `left`: records of volumes that are not adopted. Those with a mount somewhere have users who must hear of it. */
export function tellOutcome(
  handOver: HandOver,
  adopted: number,
  left: readonly VolumeRecord[],
  entries: readonly MountEntry[],
): void {
  adoptions.inc(adopted);
  const standing = new Set(entries.filter(isVolume).map(({ path }) => path));
  for (const { volumeId, stagingPath, targets } of left) {
    if (![stagingPath, ...targets].some((path) => standing.has(path))) continue;
    losses.inc();
    log.error('volume is lost: its mounts answer ENOTCONN until the pods that use it are made anew', {
      volume: volumeId,
      targets: targets.length,
    });
    handOver.lost(volumeId, 'its keeper and whoever held its descriptors were gone at the same time');
  }
}

/** Takes every mount and folder in our own directory away, but for those of `keep`. */
export async function clearOut(directory: string, keep: ReadonlySet<string>): Promise<void> {
  for (const { path } of ownMounts(directory).reverse())
    if (!keep.has(path)) {
      log.warn('mount of a keeper that is gone is taken away', { path });
      await removeMount(path, path, true);
    }
  const kept = [...keep];
  for (const name of readdirSync(directory))
    if (!kept.some((path) => path.startsWith(`${join(directory, name)}/`))) removeOwnFolder(directory, name);
}

const ownMounts = (directory: string): MountEntry[] =>
  mounts().filter((entry) => isVolume(entry) && entry.path.startsWith(`${directory}/`));
