// Before the controller is uninstalled: its finalizers go, since nobody would take them off afterwards. The record says first
// that nothing is put on any more, so that a controller that still runs puts none back.
import { setTimeout as sleep } from 'node:timers/promises';
import { FsError, fail, hasCode } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { isConflict, isMissing } from '../../kube/api-error.ts';
import type { KubeClient } from '../../kube/client.ts';
import { connectKube } from '../../kube/connect.ts';
import type { KubeObject, Secret } from '../../kube/objects.ts';
import { keyOf, nameOf, parseKey, persistentVolumes, type Resource, secrets } from '../../kube/resources.ts';
import { isHeld, takeOff } from './finalizer.ts';
import { SecretRecord } from './record.ts';
import { secretOfVolume } from './reference.ts';

export interface ReleaseSecretsOptions {
  /** Where the record is. */
  readonly namespace: string;
  /** ConfigMap; undefined: there is none any more. */
  readonly record: string | undefined;
  /** Looks at every Secret, which takes the right to list them. */
  readonly all: boolean;
  readonly kubeconfig?: string | undefined;
}

/** What a controller has begun is done by then. */
const SETTLE_MS = 5000;
const PAGE = 500;
const MAX_PASSES = 12;

/** Answers how many Secrets were let go. Rejects when some were not, and names them. */
export async function releaseSecrets(options: ReleaseSecretsOptions): Promise<number> {
  const client = await connectKube({ kubeconfig: options.kubeconfig });
  try {
    const record =
      options.record === undefined ? undefined : await markedRecord(client, options.namespace, options.record);
    const keys = new Set((await record?.read())?.keys);
    for await (const volume of each(client, persistentVolumes)) {
      const key = secretOfVolume(volume);
      if (key !== undefined) keys.add(key);
    }
    if (options.all)
      for await (const secret of each(client, secrets)) if (isHeld(secret)) keys.add(keyOf(nameOf(secret)));
    return await releaseEach(client, keys, record);
  } finally {
    client.close();
  }
}

/** Undefined: somebody deleted it, and the volumes alone say which Secrets have it. */
async function markedRecord(client: KubeClient, namespace: string, name: string): Promise<SecretRecord | undefined> {
  const record = new SecretRecord(client, { namespace, name });
  try {
    await record.release();
  } catch (thrown) {
    if (!hasCode(thrown, 'failed-precondition')) throw thrown;
    log.warn('Secrets that no volume needs may keep the finalizer', { error: thrown.message });
    return undefined;
  }
  await sleep(SETTLE_MS);
  return record;
}

async function* each<T extends KubeObject>(client: KubeClient, of: Resource<T>): AsyncIterable<T> {
  let next: string | undefined;
  do {
    const page = await client.list(of, {}, { limit: PAGE, continue: next });
    yield* page.items;
    next = page.metadata.continue === '' ? undefined : page.metadata.continue;
  } while (next !== undefined);
}

async function releaseEach(
  client: KubeClient,
  keys: Iterable<string>,
  record: SecretRecord | undefined,
): Promise<number> {
  let released = 0;
  const failed: string[] = [];
  for (const key of keys)
    try {
      if (await release(client, key)) released++;
      await record?.remove(key);
    } catch (thrown) {
      failed.push(key);
      log.error('the finalizer of a Secret could not be taken off', {
        secret: key,
        error: FsError.from(thrown).message,
      });
    }
  if (failed.length > 0) throw fail('failed-precondition', `release: Secrets that still have it: ${failed.join(', ')}`);
  return released;
}

async function release(client: KubeClient, key: string): Promise<boolean> {
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const secret: Secret | undefined = await client.find(secrets, parseKey(key));
    if (secret === undefined || !isHeld(secret)) return false;
    try {
      await takeOff(client, secret);
      log.info('let go of a Secret, which stays as it is', { secret: key });
      return true;
    } catch (thrown) {
      if (isMissing(thrown)) return false;
      if (!isConflict(thrown)) throw thrown;
    }
  }
  throw fail('busy', `secret ${key}: somebody keeps writing to it`);
}
