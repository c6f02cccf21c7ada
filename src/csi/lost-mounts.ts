// Mounts that are gone below running pods: keeper and node plugin ended at once, so nobody held their descriptors, or no worker
// came up. Every call on them fails with ENOTCONN and only a new pod gets a mount, so each pod is told by an Event.
import { FsError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Keeper } from '../keeper/client.ts';
import type { NodeState, Target, VolumeState } from './node-state.ts';
import type { Notices } from './notices.ts';

/** A keeper that takes over has its volumes back within seconds; a loss is believed when it is seen twice in a row. */
const INTERVAL_MS = 15_000;

export class LostMounts {
  readonly #keeper: Keeper;
  readonly #state: NodeState;
  readonly #notices: Notices;
  /** Targets, seen lost once ('suspected') or told. */
  readonly #lost = new Map<string, 'suspected' | 'told'>();
  #timer: NodeJS.Timeout | undefined;

  constructor(keeper: Keeper, state: NodeState, notices: Notices) {
    this.#keeper = keeper;
    this.#state = state;
    this.#notices = notices;
  }

  start(): void {
    const again = async (): Promise<void> => {
      try {
        await this.check();
      } catch (thrown) {
        // Without the keeper nothing can be said of mounts.
        log.debug('mounts could not be looked at', { error: FsError.from(thrown).message });
      }
      this.#timer?.refresh();
    };
    this.#timer = setTimeout(() => void again(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** One look at all volumes that should be mounted. */
  async check(): Promise<void> {
    const serving = new Set((await this.#keeper.list()).flatMap(({ targets }) => targets));
    const known = new Set<string>();
    for (const volume of await this.#state.all())
      for (const target of volume.targets) {
        known.add(target.path);
        if (serving.has(target.path) || !(await this.#isDead(volume, target))) this.#lost.delete(target.path);
        else this.#found(volume, target);
      }
    for (const path of this.#lost.keys()) if (!known.has(path)) this.#lost.delete(path);
  }

  /** A mount that was taken away by somebody else is not there, and nothing for us to tell. */
  async #isDead({ volumeId }: VolumeState, { path }: Target): Promise<boolean> {
    return this.#keeper.stat({ volumeId, path }).then(
      ({ abnormal }) => abnormal,
      () => false,
    );
  }

  #found({ volumeId }: VolumeState, { path, pod }: Target): void {
    const before = this.#lost.get(path);
    this.#lost.set(path, before === undefined ? 'suspected' : 'told');
    if (before !== 'suspected') return;
    this.#notices.tell({
      about: pod,
      volume: volumeId,
      type: 'Warning',
      reason: 'VolumeMountLost',
      message:
        'the mount of a volume in this pod is gone and every call on it fails with ENOTCONN: delete the pod, so that a new one gets a mount',
    });
  }
}
