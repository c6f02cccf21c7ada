// Turning encryption on, and the wipe that may go before it, step by step: locked, nobody there, wiped, switched. Every step
// says in the file system's own metadata that it was done, so whoever comes next goes on from there.

import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { inspectEmptiness } from '../filesystem/encryption/emptiness.ts';
import { beginConversion, conversionState } from '../filesystem/encryption/lock.ts';
import { confirmNoSessions } from '../filesystem/encryption/sessions.ts';
import { abandon, switchOn } from '../filesystem/encryption/switch.ts';
import { wipe } from '../filesystem/encryption/wipe.ts';
import type {
  ConversionKey,
  ConversionState,
  Counts,
  FileSystemPlace,
  Reason,
  ReasonCode,
} from '../filesystem/encryption/words.ts';
import { timeText } from '../kube/conditions.ts';
import type { FileSystemSpec, FileSystemStatus } from '../kube/crd/file-system.ts';
import type { NewReport, Report } from './report.ts';

const OWNER = 'operator';
/** A status that moves is looked at by people. */
const PROGRESS_EVERY_MS = 2000;
/** A record that is put back into use again and again, a lock that somebody takes away: more is for a later turn. */
const MAX_STEPS = 20;

export type AtRest = Extract<ConversionState, { readonly kind: 'at-rest' }>;
type UnderWay = Extract<ConversionState, { readonly kind: 'under-way' }>;

export interface Conversion {
  readonly place: FileSystemPlace;
  readonly spec: FileSystemSpec;
  readonly key: ConversionKey;
  readonly report: Report;
  readonly signal: AbortSignal;
}

export const countsOf = (counts: Counts): NonNullable<FileSystemStatus['counts']> => ({
  inodes: Number(counts.inodes),
  trash: Number(counts.trash),
  sustained: Number(counts.sustained),
  pendingSlices: Number(counts.pendingSlices),
  delayedSlices: Number(counts.delayedSlices),
  snapshots: Number(counts.snapshots),
  objects: counts.objects,
  sessions: counts.sessions,
});

/** The UUID that is to be wiped, as long as that was not done. */
export function wantedWipe({ wipe: wanted }: FileSystemSpec, status: FileSystemStatus): string | undefined {
  const confirm = wanted?.confirm.toLowerCase();
  const isDone = status.wipe?.confirmed === confirm && status.wipe?.finishedAt !== undefined;
  return isDone ? undefined : confirm;
}

/** What speaks against beginning. For a wipe only what a wipe must not touch does. */
const untouchable: ReadonlySet<ReasonCode> = new Set(['LiveSession', 'CsiVolume']);

/**
 * Begins when nothing speaks against it, and goes on with what was begun. Answers what is at rest at the end; undefined: it
 * is blocked, the status says by what, and nothing of it is locked any more.
 */
export async function convert(conversion: Conversion, begin: AtRest | undefined): Promise<AtRest | undefined> {
  const { place, report, spec } = conversion;
  if (begin !== undefined) {
    const wiping = wantedWipe(spec, report.status) !== undefined;
    const { counts, reasons } = await inspectEmptiness(place);
    await report.write({ counts: countsOf(counts) });
    const against = wiping ? reasons.filter(({ code }) => untouchable.has(code)) : reasons;
    if (against.length > 0) return blocked(conversion, against, wiping);
    if (wiping) await report.write({ wipe: { confirmed: begin.uuid, uuid: begin.uuid, startedAt: now() } });
    const begun = await beginConversion(place, { owner: OWNER });
    if (begun.kind === 'blocked') return blocked(conversion, begun.reasons, wiping);
  }
  for (let step = 0; step < MAX_STEPS; step++) {
    const state = await conversionState(place);
    if (state.kind === 'not-formatted') throw fail('not-formatted', 'file system: is gone while it was locked');
    if (state.kind === 'at-rest') return state;
    const reasons = await advance(conversion, state);
    if (reasons === undefined) continue;
    const abandoned = await abandon(place, { owner: OWNER });
    // After a wipe it is another one.
    if (abandoned !== undefined) await report.write({ uuid: abandoned.uuid });
    return blocked(conversion, reasons, wantedWipe(spec, report.status) === state.uuid);
  }
  throw fail('busy', 'turning encryption on: somebody else keeps changing the file system');
}

const now = (): string => timeText(new Date());

/** One step; what speaks against it, if anything does. */
async function advance(conversion: Conversion, state: UnderWay): Promise<readonly Reason[] | undefined> {
  conversion.signal.throwIfAborted();
  switch (state.step) {
    case 'waiting':
      return wait(conversion);
    case 'confirmed':
      if (wantedWipe(conversion.spec, conversion.report.status) === state.uuid) return wipeAll(conversion, state);
      return finish(conversion);
    case 'wiping':
      return wipeAll(conversion, state);
    case 'wiped':
      await wiped(conversion, state.uuid, undefined);
      return finish(conversion);
    case 'switching':
      return finish(conversion);
  }
}

async function wait({ place, report, signal, spec }: Conversion): Promise<readonly Reason[] | undefined> {
  const message = 'locked; waiting a minute for whoever may still have it mounted';
  await report.write({ phase: 'Locked' }, notReady('Locked', message), ...about(spec, 'Locked', message));
  const confirmed = await confirmNoSessions(place, { signal });
  return confirmed.kind === 'blocked' ? confirmed.reasons : undefined;
}

async function wipeAll({ place, report, signal }: Conversion, { uuid }: UnderWay): Promise<undefined> {
  const before = report.status.wipe?.uuid === uuid ? report.status.wipe : { confirmed: uuid, uuid, startedAt: now() };
  const earlier = before.objectsRemoved ?? 0;
  const wiping: NewReport = { type: 'Wiped', status: 'False', reason: 'Wiping', message: `wiping file system ${uuid}` };
  await report.write({ phase: 'Wiping', wipe: before }, notReady('Wiping', wiping.message), wiping);
  let told = performance.now();
  const onProgress = (objects: number): void => {
    if (performance.now() - told < PROGRESS_EVERY_MS) return;
    told = performance.now();
    const failed = (thrown: unknown): void => log.debug('progress could not be written', { error: String(thrown) });
    report.write({ wipe: { ...before, objectsRemoved: earlier + objects } }).catch(failed);
  };
  const done = await wipe(place, { owner: OWNER, confirmUuid: uuid, onProgress, signal });
  await wiped({ report }, uuid, earlier + done.objectsRemoved);
  return undefined;
}

/** Said before anything else happens, since afterwards the file system has another UUID. */
async function wiped({ report }: Pick<Conversion, 'report'>, uuid: string, objects: number | undefined): Promise<void> {
  const { wipe: before } = report.status;
  if (before?.uuid === uuid && before.finishedAt !== undefined) return;
  const objectsRemoved = objects ?? before?.objectsRemoved ?? 0;
  const done = { confirmed: uuid, uuid, startedAt: before?.startedAt ?? now(), objectsRemoved, finishedAt: now() };
  const message = `wiped file system ${uuid}: ${objectsRemoved} objects and all metadata of files are removed`;
  await report.write({ wipe: done }, { type: 'Wiped', status: 'True', reason: 'Wiped', message });
}

async function finish(conversion: Conversion): Promise<readonly Reason[] | undefined> {
  const { place, report, spec, key } = conversion;
  if (spec.encryption === 'none') {
    await abandon(place, { owner: OWNER });
    return undefined;
  }
  const message = 'counting what is left, and switching to encryption';
  await report.write({ phase: 'Locked' }, notReady('Switching', message), ...about(spec, 'Switching', message));
  const switched = await switchOn(place, { owner: OWNER, key });
  if (switched.kind === 'blocked') {
    await report.write({ counts: countsOf(switched.counts) });
    return switched.reasons;
  }
  if (switched.kind === 'not-confirmed') return undefined;
  const names = switched.changed.map(({ name }) => name).join(', ');
  if (names !== '')
    report.event(
      'Warning',
      'RecordChanged',
      `another client changed ${names} of the record while it was locked; dropped`,
    );
  if (switched.kind === 'encrypted')
    report.event('Normal', 'EncryptionOn', `encryption is on; the file system has UUID ${switched.uuid} now`);
  return undefined;
}

async function blocked({ report, spec }: Conversion, reasons: readonly Reason[], wiping: boolean): Promise<undefined> {
  const reason = reasons[0]?.code ?? 'NotEmpty';
  const message = reasons.map(({ code, text }) => `${code}: ${text}`).join('; ');
  const wipe: NewReport[] = wiping ? [{ type: 'Wiped', status: 'False', reason, message }] : [];
  await report.write({ phase: 'Blocked' }, notReady('Blocked', message), ...about(spec, reason, message), ...wipe);
  return undefined;
}

const notReady = (reason: string, message: string): NewReport => ({ type: 'Ready', status: 'False', reason, message });

/** Only where encryption is what is wanted. */
const about = ({ encryption }: FileSystemSpec, reason: string, message: string): NewReport[] =>
  encryption === 'required' ? [{ type: 'EncryptionReady', status: 'False', reason, message }] : [];
