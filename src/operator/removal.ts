// A FileSystem object is deleted: it lets go of its file system, or takes it along: objects, older versions that the store
// lists, metadata. What is left is said: copies that others made, and who still has the key.
import { fail, hasCode } from '../base/errors.ts';
import { inspectEmptiness } from '../filesystem/encryption/emptiness.ts';
import { conversionState } from '../filesystem/encryption/lock.ts';
import { abandon } from '../filesystem/encryption/switch.ts';
import { wipe } from '../filesystem/encryption/wipe.ts';
import type { ConversionState, FileSystemPlace } from '../filesystem/encryption/words.ts';
import { destroyVolume } from '../filesystem/removal/destroy-volume.ts';
import { countsOf } from './encryption.ts';
import type { NewReport, Report } from './report.ts';

const OWNER = 'operator';
/** What blocks the removal of a whole file system; all else goes along. */
const blocking: ReadonlySet<string> = new Set(['LiveSession', 'CsiVolume']);

/** True when nothing is left that the object has to wait for. */
export async function removeFileSystem(place: FileSystemPlace, report: Report, signal: AbortSignal): Promise<boolean> {
  const state = await conversionState(place);
  const { uuid } = report.status;
  // Metadata goes last: without it everything is gone, or nothing was ever made.
  if (state.kind === 'not-formatted') return true;
  if (uuid === undefined) return true;
  if (state.uuid !== uuid)
    throw fail('conflict', `the Secret leads to file system ${state.uuid}, not to ${uuid}, which was declared here`, {
      hint: 'correct the Secret, or set deletionPolicy to Retain to let go',
    });
  if (state.owner !== OWNER) return refuse(report, 'NotOwner', notOwner(state.owner));
  const { counts, reasons } = await inspectEmptiness(place);
  await report.write({ counts: countsOf(counts) });
  const against = reasons.filter(({ code }) => blocking.has(code));
  const [first] = against;
  if (first !== undefined) return refuse(report, first.code, against.map(({ text }) => text).join('; '));
  await report.write({}, notReady('Removing', `removing file system ${uuid}: objects, then metadata`));
  await unlock(place, state, signal);
  await destroy(place, uuid, report);
  return true;
}

const notReady = (reason: string, message: string): NewReport => ({ type: 'Ready', status: 'False', reason, message });

async function refuse(report: Report, reason: string, message: string): Promise<false> {
  await report.write({}, notReady(reason, `not removed: ${message}`));
  return false;
}

export const notOwner = (owner: string): string =>
  `the file system belongs to ${owner === 'csi' ? 'the CSI controller, which made it for a claim' : 'the user who formatted it'}, and only its owner formats, wipes or removes it; ${hints[owner] ?? ''}`;

const hints: Readonly<Record<string, string>> = {
  csi: 'delete its claims; the object itself goes with deletionPolicy Retain',
  user: 'use pageseal encrypt or pageseal destroy; the object itself goes with deletionPolicy Retain',
};

/** A conversion that was under way ends, a half wiped one by wiping the rest. */
async function unlock(place: FileSystemPlace, state: ConversionState, signal: AbortSignal): Promise<void> {
  if (state.kind !== 'under-way') return;
  if (state.step === 'wiping') await wipe(place, { owner: OWNER, confirmUuid: state.uuid, signal });
  await abandon(place, { owner: OWNER });
}

async function destroy(place: FileSystemPlace, expected: string, report: Report): Promise<void> {
  const state = await conversionState(place);
  if (state.kind !== 'at-rest') return;
  // After a wipe that was finished just now it has another UUID.
  if (state.uuid !== expected) await report.write({ uuid: state.uuid });
  try {
    const { objects, name } = await destroyVolume({ metaUrl: place.metaUrl, uuid: state.uuid, ...storeOf(place) });
    report.event(
      'Normal',
      'Removed',
      `removed file system ${name} (${state.uuid}): ${objects} objects and its metadata; ${leftOf(state.custody)}`,
    );
  } catch (thrown) {
    if (!hasCode(thrown, 'not-formatted')) throw thrown;
  }
}

const storeOf = ({ store }: FileSystemPlace): Pick<FileSystemPlace, 'store'> => (store === undefined ? {} : { store });

/** The removal is a crypto-erase only where the last copy of the key went along. */
const leftOf = (custody: string): string =>
  custody === 'unencrypted'
    ? 'copies that others made of its objects stay readable'
    : 'copies that others made of its objects stay readable for whoever has the key, which is not ours to destroy';
