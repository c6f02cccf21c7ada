// What the driver has to tell people beside its answers: Events on the claim or the pod in a cluster, lines of the log without
// one. Errors of calls are none of them, kubelet and the sidecars make Events of those.
import { FsError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject, ObjectReference } from '../kube/objects.ts';
import { Recorder } from '../kube/recorder.ts';
import { persistentVolumeClaims, persistentVolumes, type Resource } from '../kube/resources.ts';

export interface Subject {
  readonly kind: 'PersistentVolume' | 'PersistentVolumeClaim' | 'Pod';
  /** Volumes are in none. */
  readonly namespace?: string | undefined;
  readonly name: string;
  /** Undefined: not known to the caller. */
  readonly uid?: string | undefined;
}

export interface Notice {
  /** Undefined: nobody has said whose volume it is. */
  readonly about: Subject | undefined;
  readonly volume: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: 'IgnoredSettings' | 'VolumeMountLost' | 'VolumeDeleted' | 'SecretNotProtected';
  readonly message: string;
}

export interface Notices {
  tell(notice: Notice): void;
  /** Once what was told is written, or given up. */
  flush(): Promise<void>;
}

function logged({ about, volume, type, reason, message }: Notice): void {
  const { kind, namespace, name } = about ?? {};
  log[type === 'Warning' ? 'warn' : 'info'](message, { reason, volume, kind, namespace, name });
}

export const loggedNotices: Notices = { tell: logged, flush: async () => undefined };

/** In the log, too: Events are gone after an hour. */
export function recordedNotices(client: KubeClient, component: string, host: string): Notices {
  const recorder = new Recorder(async () => client, component, host);
  let waiting: Promise<void> = Promise.resolve();
  const record = async (about: Subject, { type, reason, message }: Notice): Promise<void> => {
    const { kind, namespace, name } = about;
    const uid = about.uid ?? (await uidOf(client, about));
    const reference: ObjectReference = {
      apiVersion: 'v1',
      kind,
      name,
      ...(namespace !== undefined && { namespace }),
      ...(uid !== undefined && { uid }),
    };
    recorder.record({ about: reference, type, reason, message });
  };
  return {
    tell: (notice) => {
      logged(notice);
      const { about } = notice;
      if (about !== undefined) waiting = waiting.then(() => record(about, notice));
    },
    flush: async () => {
      await waiting;
      await recorder.flush();
    },
  };
}

/** `kubectl describe` finds Events by it; without one they are seen by `kubectl get events` only. */
async function uidOf(client: KubeClient, { kind, namespace, name }: Subject): Promise<string | undefined> {
  // Nodes may not read pods; the kubelet tells them the uid.
  if (kind === 'Pod') return undefined;
  const of: Resource<KubeObject> = kind === 'PersistentVolume' ? persistentVolumes : persistentVolumeClaims;
  try {
    return (await client.find(of, { namespace, name }))?.metadata.uid;
  } catch (thrown) {
    log.debug('the subject of an Event could not be looked up', { kind, name, error: FsError.from(thrown).message });
    return undefined;
  }
}
