// What a FileSystem's status says, and the Events that tell of its changes. One writer per object and turn, in order;
// nothing is written that stands there already.
import { FsError } from '../base/errors.ts';
import { presentable } from '../base/grpc-status.ts';
import { log } from '../base/log.ts';
import { isConflict } from '../kube/api-error.ts';
import type { KubeClient } from '../kube/client.ts';
import { conditionOf, type NewCondition, withCondition } from '../kube/conditions.ts';
import { type FileSystemObject, type FileSystemStatus, fileSystems } from '../kube/crd/file-system.ts';
import type { Condition } from '../kube/objects.ts';
import type { Recorder } from '../kube/recorder.ts';
import { apiVersionOf, keyOf, nameOf } from '../kube/resources.ts';

export type ConditionType = 'Ready' | 'EncryptionReady' | 'Wiped' | 'Conflict';
export type NewReport = Omit<NewCondition, 'type' | 'observedGeneration'> & { readonly type: ConditionType };

/** Somebody else may write the object between our reading and writing; never the status, so this is enough. */
const MAX_ATTEMPTS = 5;

export class Report {
  readonly #client: KubeClient;
  readonly #recorder: Recorder;
  #object: FileSystemObject;
  #last: Promise<void> = Promise.resolve();

  constructor(client: KubeClient, recorder: Recorder, object: FileSystemObject) {
    this.#client = client;
    this.#recorder = recorder;
    this.#object = object;
  }

  get object(): FileSystemObject {
    return this.#object;
  }

  get status(): FileSystemStatus {
    return this.#object.status ?? {};
  }

  /** Resolves when it is written. Undefined values stay as they are. */
  write(change: Partial<FileSystemStatus>, ...conditions: readonly NewReport[]): Promise<void> {
    this.#last = this.#last.catch(() => undefined).then(() => this.#write(change, conditions));
    return this.#last;
  }

  /** What failed, as a condition; what only an administrator of this program may see is in the log. */
  failed(thrown: unknown, change: Partial<FileSystemStatus> = {}): Promise<void> {
    if (!(thrown instanceof FsError)) log.error('unexpected failure', { key: this.key, error: String(thrown) });
    const { code, message, hint } = presentable(thrown);
    const text = hint === undefined ? message : `${message} (${hint})`;
    return this.write(change, { type: 'Ready', status: 'False', reason: camelCase(code), message: text });
  }

  event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { metadata } = this.#object;
    const { name, namespace, uid } = metadata;
    const about = { apiVersion: apiVersionOf(fileSystems), kind: fileSystems.kind, name };
    this.#recorder.record({
      about: { ...about, ...(namespace !== undefined && { namespace }), ...(uid !== undefined && { uid }) },
      type,
      reason,
      message,
    });
    log[type === 'Normal' ? 'info' : 'warn'](`file system: ${message}`, { key: this.key, reason });
  }

  get key(): string {
    return keyOf(nameOf(this.#object));
  }

  async #write(change: Partial<FileSystemStatus>, conditions: readonly NewReport[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const before = this.status;
      const status = merged(this.#object, change, conditions);
      if (JSON.stringify(status) === JSON.stringify(before)) return;
      try {
        this.#object = await this.#client.replace(fileSystems, { ...this.#object, status }, 'status');
        this.#tell(before.conditions ?? [], conditions);
        return;
      } catch (thrown) {
        if (!isConflict(thrown) || attempt === MAX_ATTEMPTS) throw thrown;
        const { metadata, spec } = await this.#client.get(fileSystems, nameOf(this.#object));
        this.#object = { ...this.#object, metadata, spec };
      }
    }
  }

  /** Each transition is an Event: another status, or another reason for the same one. */
  #tell(before: readonly Condition[], conditions: readonly NewReport[]): void {
    for (const { type, status, reason, message } of conditions) {
      const old = conditionOf(before, type);
      if (old?.status === status && old.reason === reason) continue;
      if (old === undefined && status === 'False' && type === 'Conflict') continue;
      const isBad = (type === 'Conflict') === (status === 'True') && !calm.has(reason);
      this.event(isBad ? 'Warning' : 'Normal', reason, message === '' ? `${type} is ${status}` : message);
    }
  }
}

/** Reasons of what is on its way, or wanted so. */
const calm: ReadonlySet<string> = new Set([
  'Formatting',
  'Locked',
  'Wiping',
  'Switching',
  'Removing',
  'NotRequired',
  'Released',
]);

function merged(
  object: FileSystemObject,
  change: Partial<FileSystemStatus>,
  wanted: readonly NewReport[],
): FileSystemStatus {
  const { status = {}, metadata } = object;
  let conditions: readonly Condition[] = status.conditions ?? [];
  const observedGeneration = metadata.generation ?? 0;
  for (const each of wanted) conditions = withCondition(conditions, { ...each, observedGeneration });
  return { ...status, ...change, observedGeneration, conditions: [...conditions] };
}

const camelCase = (code: string): string =>
  code
    .split('-')
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('');
