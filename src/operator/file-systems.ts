// The reconciler of FileSystem objects: from what is declared and what is found to what is done, and what the status says.
import { fail } from '../base/errors.ts';
import { formatKeyOf, storeSettingsOf } from '../connection/file-system.ts';
import { type PlaceRules, placeOf } from '../connection/place.ts';
import { inspectEmptiness } from '../filesystem/encryption/emptiness.ts';
import { conversionState } from '../filesystem/encryption/lock.ts';
import type { FileSystemPlace } from '../filesystem/encryption/words.ts';
import { isKeyOf } from '../filesystem/without-key.ts';
import type { KubeClient } from '../kube/client.ts';
import {
  FILE_SYSTEM_FINALIZER,
  type FileSystemObject,
  type FileSystemStatus,
  fileSystems,
  parseFileSystemSpec,
} from '../kube/crd/file-system.ts';
import type { Recorder } from '../kube/recorder.ts';
import { nameOf, parseKey } from '../kube/resources.ts';
import type { Claims } from './claims.ts';
import { type AtRest, convert, countsOf, wantedWipe } from './encryption.ts';
import { type Declared, finishFormatting, makeFileSystem } from './formatting.ts';
import { notOwner, removeFileSystem } from './removal.ts';
import { type NewReport, Report } from './report.ts';
import { readSecret } from './secret.ts';

/** Secrets are read by name and not watched: so often for one that is awaited, or whose file system is blocked. */
const WAITING_MS = 10_000;
/** What changes behind our back (somebody else's client, a Secret) is seen after this time at the latest. */
const RESYNC_MS = 300_000;
/** Counting lists the store; so often is cheap, however many objects there are. */
const COUNT_EVERY_MS = 3_600_000;

export interface FileSystemParts {
  readonly client: KubeClient;
  readonly recorder: Recorder;
  readonly claims: Claims;
  readonly rules: PlaceRules;
}

export class FileSystems {
  readonly #parts: FileSystemParts;
  readonly #counted = new Map<string, number>();

  constructor(parts: FileSystemParts) {
    this.#parts = parts;
  }

  /** Answers when it wants to be called again. */
  async reconcile(key: string, signal: AbortSignal): Promise<number | undefined> {
    const { client, recorder, claims } = this.#parts;
    const object = await client.find(fileSystems, parseKey(key), signal);
    if (object === undefined) {
      claims.forget(key);
      this.#counted.delete(key);
      return undefined;
    }
    const report = new Report(client, recorder, object);
    try {
      if (object.metadata.deletionTimestamp !== undefined) return await this.#remove(report, signal);
      return await this.#settle(await this.#hold(report), signal);
    } catch (thrown) {
      if (!signal.aborted)
        await report.failed(thrown, isRemoved(object) ? { phase: 'Deleting' } : pendingUnlessKnown(report));
      throw thrown;
    }
  }

  /** From here on the object does not go before we let it. */
  async #hold(report: Report): Promise<Report> {
    const { client, recorder } = this.#parts;
    const { metadata } = report.object;
    const { finalizers = [], resourceVersion } = metadata;
    if (finalizers.includes(FILE_SYSTEM_FINALIZER)) return report;
    const held = { metadata: { resourceVersion, finalizers: [...finalizers, FILE_SYSTEM_FINALIZER] } };
    return new Report(client, recorder, await client.patch(fileSystems, nameOf(report.object), held));
  }

  async #release({ object }: Report): Promise<void> {
    const { metadata } = object;
    const finalizers = (metadata.finalizers ?? []).filter((each) => each !== FILE_SYSTEM_FINALIZER);
    const { resourceVersion } = metadata;
    await this.#parts.client.patch(fileSystems, nameOf(object), { metadata: { resourceVersion, finalizers } });
  }

  async #settle(report: Report, signal: AbortSignal): Promise<number> {
    const declared = await this.#declared(report);
    if (declared === undefined) {
      const { secretName } = report.object.spec;
      await report.write(
        pendingUnlessKnown(report),
        notReady('SecretMissing', `waiting for Secret ${secretName} in this namespace`),
      );
      return WAITING_MS;
    }
    const place = placeFor(declared);
    if ((await conversionState(place)).kind === 'not-formatted') {
      refuseGone(report.status);
      await makeFileSystem(declared, report);
    }
    const state = await conversionState(place);
    if (state.kind === 'not-formatted')
      throw fail('metadata-unavailable', 'file system: is gone right after it was made');
    if (state.name !== declared.name)
      throw fail('conflict', `the metadata holds file system ${state.name}, the Secret names ${declared.name}`);
    refuseOther(report.status, state.uuid);
    if (await this.#isAnothers(report, state.uuid)) return RESYNC_MS;
    await finishFormatting(declared, report);
    const { spec, secret } = declared;
    const conversion = { place, spec, key: formatKeyOf(secret), report, signal };
    const begin = state.kind === 'at-rest' ? await this.#wantsConversion(state, declared, report) : 'go on';
    if (begin === 'blocked') return WAITING_MS;
    const atRest =
      begin === 'no' && state.kind === 'at-rest'
        ? state
        : await convert(conversion, state.kind === 'at-rest' ? state : undefined);
    if (atRest === undefined) return WAITING_MS;
    await this.#isAnothers(report, atRest.uuid);
    await this.#ready(atRest, declared, report);
    return RESYNC_MS;
  }

  async #declared(report: Report): Promise<Declared | undefined> {
    const { client, rules } = this.#parts;
    const spec = parseFileSystemSpec(report.object);
    const secret = await readSecret(client, report.object);
    if (secret === undefined) return undefined;
    const place = placeOf(secret.connection, { ...rules, fileSystem: undefined });
    if (place.name === undefined) throw fail('bad-input', 'secret: name: is missing');
    return { spec, secret, place, name: place.name };
  }

  /** A file system has one object: the others say so and do nothing. */
  async #isAnothers(report: Report, uuid: string): Promise<boolean> {
    const owner = this.#parts.claims.claim(report.object, uuid);
    if (owner === undefined) {
      const had = report.status.conditions?.some(({ type }) => type === 'Conflict') === true;
      const none: NewReport = { type: 'Conflict', status: 'False', reason: 'NoConflict', message: '' };
      await report.write({ uuid }, ...(had ? [none] : []));
      return false;
    }
    const message = `file system ${uuid} is declared by ${owner}, which is older; this object does nothing to it`;
    const conflict: NewReport = { type: 'Conflict', status: 'True', reason: 'DeclaredTwice', message };
    await report.write({ phase: 'Conflict', uuid }, conflict, notReady('Conflict', message));
    return true;
  }

  /** Whether encryption is to be turned on, or something wiped; or why neither can be. */
  async #wantsConversion(state: AtRest, { spec, secret }: Declared, report: Report): Promise<'yes' | 'no' | 'blocked'> {
    const encrypted = state.custody !== 'unencrypted';
    const wiping = await this.#mayWipe(state, declaredWipe(spec, report), report);
    if (encrypted && spec.encryption === 'none')
      return block(report, 'RecordSaysEncrypted', `file system ${state.name} is encrypted, and the object says none`);
    const { publicKey } = secret;
    const ours = state.keyCheck === undefined ? {} : { keyCheck: Buffer.from(state.keyCheck, 'hex') };
    if (encrypted && publicKey !== undefined && !isKeyOf({ ours }, publicKey))
      return block(report, 'WrongKey', `file system ${state.name} has another key than the Secret's rsa-public-key`);
    if (encrypted) return 'no';
    if (wiping) return 'yes';
    if (spec.encryption === 'none') return 'no';
    return state.owner === 'operator' ? 'yes' : block(report, 'NotOwner', notOwner(state.owner));
  }

  /** An order that cannot be followed is refused in words, and harms nothing else. */
  async #mayWipe(state: AtRest, uuid: string | undefined, report: Report): Promise<boolean> {
    if (uuid === undefined) return false;
    const refused = (reason: string, message: string): Promise<void> =>
      report.write({}, { type: 'Wiped', status: 'False', reason, message: `nothing was wiped: ${message}` });
    if (state.uuid !== uuid)
      await refused('WrongUuid', `the file system has UUID ${state.uuid}, and spec.wipe.confirm says ${uuid}`);
    else if (state.custody !== 'unencrypted')
      await refused('AlreadyEncrypted', 'the file system is encrypted; a wipe is for turning encryption on');
    else if (state.owner !== 'operator') await refused('NotOwner', notOwner(state.owner));
    else return true;
    return false;
  }

  async #ready(state: AtRest, { place, name }: Declared, report: Report): Promise<void> {
    const encrypted = state.custody !== 'unencrypted';
    const key = report.key;
    const due = performance.now() - (this.#counted.get(key) ?? Number.NEGATIVE_INFINITY) > COUNT_EVERY_MS;
    const counted = due
      ? { counts: countsOf((await inspectEmptiness({ metaUrl: place.metaUrl, store: storeSettingsOf(place) })).counts) }
      : {};
    if (due) this.#counted.set(key, performance.now());
    const encryption: NewReport = encrypted
      ? {
          type: 'EncryptionReady',
          status: 'True',
          reason: 'Encrypted',
          message: `the key is ${custodies[state.custody]}`,
        }
      : {
          type: 'EncryptionReady',
          status: 'False',
          reason: 'NotRequired',
          message: 'data is stored in clear, as the object says',
        };
    const ready: NewReport = {
      type: 'Ready',
      status: 'True',
      reason: 'Ready',
      message: `file system ${name} is ${encrypted ? 'encrypted' : 'not encrypted'}`,
    };
    const { uuid, owner, custody } = state;
    await report.write({ phase: 'Ready', uuid, owner, encryption: custody, encrypted, ...counted }, encryption, ready);
  }

  async #remove(report: Report, signal: AbortSignal): Promise<number | undefined> {
    const { metadata, status } = report.object;
    if (!metadata.finalizers?.includes(FILE_SYSTEM_FINALIZER)) return undefined;
    const spec = parseFileSystemSpec(report.object);
    // Whose object never had a file system of its own, or only a second claim, leaves nothing behind.
    const isOurs = status?.uuid !== undefined && this.#parts.claims.claim(report.object, status.uuid) === undefined;
    if (spec.deletionPolicy === 'Delete' && isOurs) {
      const declared = await this.#declared(report);
      if (declared === undefined) {
        const message = `waiting for Secret ${spec.secretName}: without it the file system cannot be removed; deletionPolicy Retain lets go of it`;
        await report.write({ phase: 'Deleting' }, notReady('SecretMissing', message));
        return WAITING_MS;
      }
      await report.write({ phase: 'Deleting' });
      if (!(await removeFileSystem(placeFor(declared), report, signal))) return WAITING_MS;
    } else if (isOurs) report.event('Normal', 'Released', `let go of file system ${status.uuid}, which stays as it is`);
    await this.#release(report);
    this.#parts.claims.forget(report.key);
    return undefined;
  }
}

const custodies = { 'self-managed': "the user's", 'in-metadata': 'in the metadata' } as Readonly<
  Record<string, string>
>;

/** While these last the UUID is not certain: it is being chosen, changed by us, or another object's to change. */
const unsettled: ReadonlySet<string> = new Set(['Formatting', 'Locked', 'Wiping', 'Conflict']);

const isSettled = ({ phase, uuid }: FileSystemStatus): boolean =>
  uuid !== undefined && (phase === undefined || !unsettled.has(phase));

/** A Secret that was changed must not turn the object into another one, least of all one that is deleted with its data. */
function refuseOther(status: FileSystemStatus, found: string): void {
  if (!isSettled(status) || status.uuid === found) return;
  throw fail('conflict', `the Secret leads to file system ${found}, and this object is of ${status.uuid}`, {
    hint: 'correct the Secret; for another file system make another object',
  });
}

/** What was there once is not made anew: that would hide that it is lost. */
function refuseGone(status: FileSystemStatus): void {
  if (!isSettled(status)) return;
  throw fail('not-formatted', `file system ${status.uuid} is gone: the metadata that the Secret names holds none`, {
    hint: 'correct the Secret or restore the metadata; for a new file system delete this object and make it again',
  });
}

const isRemoved = ({ metadata }: FileSystemObject): boolean => metadata.deletionTimestamp !== undefined;
const placeFor = ({ place }: Declared): FileSystemPlace => ({ metaUrl: place.metaUrl, store: storeSettingsOf(place) });
const notReady = (reason: string, message: string): NewReport => ({ type: 'Ready', status: 'False', reason, message });
const declaredWipe = (spec: Declared['spec'], report: Report): string | undefined => wantedWipe(spec, report.status);

/** What was under way goes on later under its own name. */
function pendingUnlessKnown({ status }: Report): { phase?: 'Pending' } {
  return status.phase === undefined || status.phase === 'Ready' || status.phase === 'Blocked'
    ? { phase: 'Pending' }
    : {};
}

async function block(report: Report, reason: string, message: string): Promise<'blocked'> {
  const encryption: NewReport = { type: 'EncryptionReady', status: 'False', reason, message };
  await report.write({ phase: 'Blocked' }, notReady('Blocked', message), encryption);
  return 'blocked';
}
