// Secrets stay as long as volumes need them to be deleted: while a PersistentVolume names one, or is being made with one, it
// has our finalizer. What is wanted follows from the volumes that are there and the calls that run, never from a count, so a
// controller that was killed goes on from what it finds.
import { setTimeout as sleep } from 'node:timers/promises';
import { fail, hasCode } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import { DRIVER_NAME } from '../../config/driver.ts';
import { secretNames } from '../../config/secret-names.ts';
import type { ClaimNames } from '../../config/storage-class.ts';
import { isConflict } from '../../kube/api-error.ts';
import type { KubeClient } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import type { PersistentVolume, Secret } from '../../kube/objects.ts';
import {
  leases,
  parseKey,
  persistentVolumeClaims,
  persistentVolumes,
  secrets,
  storageClasses,
} from '../../kube/resources.ts';
import { WorkQueue } from '../../kube/work-queue.ts';
import type { Notices } from '../notices.ts';
import { isHeld, putOn, takeOff } from './finalizer.ts';
import { SecretRecord } from './record.ts';
import { secretOfClaim, secretOfVolume } from './reference.ts';

export interface SecretProtectionOptions {
  readonly client: KubeClient;
  /** ConfigMap of the pod's own namespace. */
  readonly record: string;
  /** By which the provisioner beside us calls itself in its Lease: the host name that we share. */
  readonly host: string;
  readonly notices: Notices;
}

export interface NewVolume {
  /** Of the PersistentVolume. */
  readonly name: string;
  readonly claim: ClaimNames;
  /** Names of the keys that came with the call. */
  readonly keys: readonly string[];
}

/** The sidecar's name for it: the driver's, with nothing but letters, digits and dashes. */
const PROVISIONER_LEASE = DRIVER_NAME.replace(/[^a-z0-9-]/g, '-');
/** A Secret that nobody uses any more by the look of it is let go after this, and one that a killed call left too. */
const LOOK_MS = 15_000;
/** A Secret that is needed and was made anew, or whose finalizer somebody took off, has it again after this. */
const RESYNC_MS = 600_000;
/** After the answer the provisioner makes the PersistentVolume, mostly at once. */
const EXPECTED_MS = 600_000;
const PAGE = 500;
const CONFLICT_ATTEMPTS = 10;
const CONFLICT_PAUSE_MS = 50;
/** In the queue it stands for a look at everything; no key of a Secret is empty. */
const ALL = '';
const knownNames: ReadonlySet<string> = new Set(Object.values(secretNames));

export class SecretProtection {
  readonly #options: SecretProtectionOptions;
  readonly #record: SecretRecord;
  readonly #volumes: Informer<PersistentVolume>;
  readonly #queue: WorkQueue;
  /** Volumes by the Secret that they need, as the watch has them. */
  readonly #users = new Map<string, Set<string>>();
  /** Volumes that are being made, or were and are not seen yet: with which Secret, and until when they count. */
  readonly #expected = new Map<string, { readonly key: string; readonly until: number }>();
  /** Putting on and taking off never meet at one Secret. */
  readonly #turns = new Map<string, Mutex>();

  constructor(options: SecretProtectionOptions) {
    const { client, record } = options;
    this.#options = options;
    this.#record = new SecretRecord(client, { namespace: client.namespace, name: record });
    const work = (key: string): Promise<number | undefined> => this.#work(key);
    this.#queue = new WorkQueue({ name: 'secret finalizer', parallel: 4, work });
    this.#volumes = new Informer({
      client,
      resource: persistentVolumes,
      onChange: (name, now, old) => this.#seen(name, now && secretOfVolume(now), old && secretOfVolume(old)),
    });
  }

  start(): void {
    // Late: by then a call that a predecessor had answered has its volume.
    this.#volumes.start().then(
      () => this.#queue.addAfter(ALL, LOOK_MS),
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    await this.#volumes.stop();
    await this.#queue.stop();
  }

  /** Makes a volume: its Secret has the finalizer before anything is made, and keeps it where that succeeds. */
  async during<T>(volume: NewVolume, make: () => Promise<T>): Promise<T> {
    const key = await this.#secretOf(volume);
    if (key === undefined) return make();
    const { name } = volume;
    this.#expected.set(name, { key, until: Number.POSITIVE_INFINITY });
    try {
      await this.#turn(key, () => this.#hold(key, volume.keys));
      const made = await make();
      this.#expected.set(name, { key, until: performance.now() + EXPECTED_MS });
      // Made by an earlier call, and seen: no other event will say so.
      if (this.#users.get(key)?.has(name)) this.#expected.delete(name);
      return made;
    } catch (thrown) {
      this.#expected.delete(name);
      this.#queue.addAfter(key, LOOK_MS);
      throw thrown;
    }
  }

  /** Undefined where it cannot be told: as soon as the volume is there its Secret is known. */
  async #secretOf({ name, claim }: NewVolume): Promise<string | undefined> {
    const { client, notices } = this.#options;
    try {
      if (claim.name === undefined || claim.namespace === undefined)
        throw fail('bad-input', 'the provisioner does not say for which claim (--extra-create-metadata)');
      const at = { namespace: claim.namespace, name: claim.name };
      const found = await client.find(persistentVolumeClaims, at);
      if (found === undefined) throw fail('bad-input', 'its claim is gone');
      const className = found.spec?.storageClassName ?? '';
      const from = className === '' ? undefined : await client.find(storageClasses, { name: className });
      if (from === undefined) throw fail('bad-input', 'its storage class is gone');
      return secretOfClaim(from, found, claim.volume ?? name);
    } catch (thrown) {
      if (!hasCode(thrown, 'bad-input')) throw thrown;
      const about =
        claim.name === undefined
          ? undefined
          : { kind: 'PersistentVolumeClaim' as const, namespace: claim.namespace, name: claim.name };
      const message = `its Secret gets the finalizer only when the volume is there: ${thrown.message}`;
      notices.tell({ about, volume: name, type: 'Warning', reason: 'SecretNotProtected', message });
      return undefined;
    }
  }

  async #hold(key: string, names: readonly string[]): Promise<void> {
    const { releasedForMs } = await this.#record.add(key);
    if (releasedForMs > 0)
      throw fail('cluster-unavailable', 'the driver is being uninstalled: no volume is made any more');
    for (let attempt = 1; ; attempt++) {
      const secret = await this.#find(key);
      if (secret === undefined) throw fail('failed-precondition', `secret ${key}: is gone`);
      if (secret.metadata.deletionTimestamp !== undefined)
        throw fail('failed-precondition', `secret ${key}: is being deleted, and no volume is made with it any more`, {
          hint: 'it goes with the last volume that needs it; make it again then, or delete the claim',
        });
      const missing = names.find((name) => secret.data?.[name] === undefined);
      if (missing !== undefined)
        throw fail('failed-precondition', `secret ${key}: has no ${missing}, which came with the call`);
      if (isHeld(secret) || (await this.#wrote(putOn(this.#options.client, secret)))) return;
      if (attempt === CONFLICT_ATTEMPTS) throw fail('busy', `secret ${key}: somebody keeps writing to it`);
      await sleep(CONFLICT_PAUSE_MS);
    }
  }

  /** False: somebody else wrote it first. */
  async #wrote(writing: Promise<Secret>): Promise<boolean> {
    try {
      await writing;
      return true;
    } catch (thrown) {
      if (isConflict(thrown)) return false;
      throw thrown;
    }
  }

  #find(key: string): Promise<Secret | undefined> {
    return this.#options.client.find(secrets, parseKey(key));
  }

  #turn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turns = this.#turns.get(key) ?? new Mutex();
    this.#turns.set(key, turns);
    return turns.run(work);
  }

  #seen(volume: string, key: string | undefined, old: string | undefined): void {
    if (old !== undefined && old !== key) {
      const left = this.#users.get(old);
      left?.delete(volume);
      if (left?.size === 0) this.#users.delete(old);
      this.#queue.add(old);
    }
    if (key === undefined) return;
    this.#expected.delete(volume);
    const users = this.#users.get(key) ?? new Set();
    this.#users.set(key, users.add(volume));
    if (old !== key) this.#queue.add(key);
  }

  /** Answers when it wants to look again. */
  async #work(key: string): Promise<number | undefined> {
    if (!(await this.#acts())) return key === ALL ? LOOK_MS : undefined;
    const { keys, releasedForMs } = await this.#record.read();
    if (releasedForMs > 0) return releasedForMs;
    if (key !== ALL) return this.#turn(key, () => (this.#users.has(key) ? this.#keep(key) : this.#letGo(key)));
    for (const each of keys) if (!this.#users.has(each)) this.#queue.add(each);
    for (const each of this.#users.keys()) if (!keys.has(each)) this.#queue.add(each);
    return LOOK_MS;
  }

  /**
   * Of several replicas the one beside the provisioner that acts: calls that run are known to that one only. A lease that
   * changes hands between this look and a write is the provisioner's own window, whose calls begin anew with the next holder.
   */
  async #acts(): Promise<boolean> {
    const { client, host } = this.#options;
    const lease = await client.find(leases, { namespace: client.namespace, name: PROVISIONER_LEASE });
    const holder = lease?.spec?.holderIdentity ?? '';
    return holder === '' || holder === host.replace(/[^A-Za-z0-9-]/g, '-');
  }

  async #keep(key: string): Promise<number | undefined> {
    await this.#record.add(key);
    const secret = await this.#find(key);
    if (secret !== undefined && isHeld(secret)) return RESYNC_MS;
    const why =
      secret === undefined
        ? 'is missing'
        : secret.metadata.deletionTimestamp !== undefined
          ? 'is being deleted'
          : !Object.keys(secret.data ?? {}).some((name) => knownNames.has(name))
            ? 'has no key that a volume needs'
            : undefined;
    if (why !== undefined || secret === undefined) {
      log.warn('volumes need this Secret to be deleted, and nothing keeps it', { secret: key, why });
      return RESYNC_MS;
    }
    return (await this.#wrote(putOn(this.#options.client, secret))) ? RESYNC_MS : CONFLICT_PAUSE_MS;
  }

  /** What the watch has may be old, so everything is asked for once more; the Secret is read before that. */
  async #letGo(key: string): Promise<number | undefined> {
    const now = performance.now();
    for (const [volume, { until }] of this.#expected) if (until <= now) this.#expected.delete(volume);
    if ([...this.#expected.values()].some((expected) => expected.key === key)) return LOOK_MS;
    const secret = await this.#find(key);
    if (secret !== undefined && isHeld(secret)) {
      if (await this.#isUsed(key)) return LOOK_MS;
      if (!(await this.#wrote(takeOff(this.#options.client, secret)))) return CONFLICT_PAUSE_MS;
      log.info('no volume needs this Secret any more', { secret: key });
    }
    await this.#record.remove(key);
    return undefined;
  }

  async #isUsed(key: string): Promise<boolean> {
    let next: string | undefined;
    do {
      const page = await this.#options.client.list(persistentVolumes, {}, { limit: PAGE, continue: next });
      if (page.items.some((volume) => secretOfVolume(volume) === key)) return true;
      next = page.metadata.continue === '' ? undefined : page.metadata.continue;
    } while (next !== undefined);
    return false;
  }
}
