// All steps of a conversion one after the other, for who stays until it is done. Refused, it leaves the file system as it
// was: looked at before anything is locked, and given up when somebody got in between.
import { fail } from '../../base/errors.ts';
import { inspectEmptiness } from './emptiness.ts';
import { beginConversion, conversionState } from './lock.ts';
import { type ConfirmOptions, confirmNoSessions } from './sessions.ts';
import { abandon, type SwitchOptions, switchOn } from './switch.ts';
import { wipe } from './wipe.ts';
import type { FileSystemPlace, Reason, Switched } from './words.ts';

export interface TurnOnOptions extends SwitchOptions {
  /** Wipes the file system of that UUID first. */
  readonly wipeUuid?: string;
  readonly waiting?: ConfirmOptions;
  readonly onRemoved?: (objects: number) => void;
  readonly signal?: AbortSignal;
}

export interface TurnedOn extends Extract<Switched, { kind: 'encrypted' }> {
  /** Undefined: nothing was wiped. */
  readonly objectsRemoved: number | undefined;
}

/** Times that another client may put the record back into use before it is one that does so for ever. */
const MAX_REOPENED = 3;

/** Cut short, it goes on when it is asked again. Rejects failed-precondition with every reason, and what the steps reject. */
export async function turnOn(place: FileSystemPlace, options: TurnOnOptions): Promise<TurnedOn> {
  const { owner, wipeUuid } = options;
  const state = await conversionState(place);
  if (state.kind === 'at-rest' && state.custody === 'unencrypted') {
    const { reasons } = await inspectEmptiness(place);
    const blocking = wipeUuid === undefined ? reasons : reasons.filter(({ code }) => unwipeable.has(code));
    if (blocking.length > 0) throw refused(blocking);
    if (wipeUuid !== undefined && wipeUuid.toLowerCase() !== state.uuid) throw otherUuid(state, wipeUuid);
  }
  const begun = await beginConversion(place, { owner });
  if (begun.kind === 'blocked') throw refused(begun.reasons);
  if (begun.kind === 'encrypted')
    throw fail('already-formatted', `turn encryption on: it is on already, with the key ${begun.custody}`);
  try {
    return await go(place, options);
  } catch (thrown) {
    // What was begun to be wiped can only be finished, and stays locked until it is.
    const now = await conversionState(place);
    if (now.kind === 'under-way' && now.step !== 'wiping' && options.signal?.aborted !== true)
      await abandon(place, { owner });
    throw thrown;
  }
}

/** What a wipe does not take away. */
const unwipeable: ReadonlySet<string> = new Set(['LiveSession', 'CsiVolume']);

const otherUuid = ({ name, uuid }: { name: string; uuid: string }, given: string): Error =>
  fail('bad-input', `wipe file system ${name}: its UUID is ${uuid}, not ${given}`, { hint: 'nothing was changed' });

const refused = (reasons: readonly Reason[]): Error =>
  fail('failed-precondition', `turn encryption on: ${reasons.map(({ code, text }) => `${code}: ${text}`).join('; ')}`, {
    hint: 'encryption starts on an empty file system that nobody has mounted; nothing was changed',
  });

async function go(place: FileSystemPlace, options: TurnOnOptions): Promise<TurnedOn> {
  const { owner, wipeUuid, onRemoved, signal } = options;
  for (let times = 0; times < MAX_REOPENED; times++) {
    const confirmed = await confirmNoSessions(place, { ...options.waiting, ...(signal && { signal }) });
    if (confirmed.kind === 'blocked') throw refused(confirmed.reasons);
    if (confirmed.kind === 'not-begun') break;
    const wiped =
      wipeUuid === undefined
        ? undefined
        : await wipe(place, {
            owner,
            confirmUuid: wipeUuid,
            ...(onRemoved && { onProgress: onRemoved }),
            ...(signal && { signal }),
          });
    const switched = await switchOn(place, options);
    if (switched.kind === 'blocked') throw refused(switched.reasons);
    if (switched.kind === 'encrypted') return { ...switched, objectsRemoved: wiped?.objectsRemoved };
  }
  throw fail('conflict', 'turn encryption on: somebody else keeps ending the conversion, or rewriting the record');
}
