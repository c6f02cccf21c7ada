// Which Secrets have the finalizer, or are about to get it: in a ConfigMap, written before the Secret is. The controller may
// not list Secrets, and one that was killed must find again what it left behind.
import { fail } from '../../base/errors.ts';
import { retry } from '../../base/retry.ts';
import { isConflict } from '../../kube/api-error.ts';
import type { KubeClient } from '../../kube/client.ts';
import { timeText } from '../../kube/conditions.ts';
import type { ConfigMap } from '../../kube/objects.ts';
import { configMaps, keyOf, type Name } from '../../kube/resources.ts';

/** A line for each, "namespace/name". A ConfigMap of 1 MiB has room for some ten thousand. */
const SECRETS = 'secrets';
/** When everything was let go, as the API writes times. */
const RELEASED = 'released';
/** Nothing is put on for so long: the rest of the uninstallation. One that fails leaves a controller that works again. */
const RELEASED_MS = 120_000;
/** Replicas and many calls at once write to it; a write takes milliseconds. */
const CONFLICTS = { attempts: 20, baseMs: 20, capMs: 500, when: isConflict };

export interface Recorded {
  readonly keys: ReadonlySet<string>;
  /** Milliseconds for which nothing may be put on; 0: it may. */
  readonly releasedForMs: number;
}

export class SecretRecord {
  readonly #client: KubeClient;
  readonly #at: Name;

  constructor(client: KubeClient, at: Name) {
    this.#client = client;
    this.#at = at;
  }

  async read(): Promise<Recorded> {
    return recorded(await this.#get());
  }

  /** Answers what was there before. */
  add(key: string): Promise<Recorded> {
    return this.#change(({ keys }) => (keys.has(key) ? undefined : { [SECRETS]: textOf([...keys, key]) }));
  }

  /** Answers what was there before. */
  remove(key: string): Promise<Recorded> {
    return this.#change(({ keys }) =>
      keys.has(key) ? { [SECRETS]: textOf([...keys].filter((each) => each !== key)) } : undefined,
    );
  }

  /** From now on nothing is put on for a while. Answers what was there before. */
  release(): Promise<Recorded> {
    return this.#change(() => ({ [RELEASED]: timeText(new Date()) }));
  }

  #change(edit: (found: Recorded) => Readonly<Record<string, string>> | undefined): Promise<Recorded> {
    return retry(async () => {
      const found = await this.#get();
      const before = recorded(found);
      const data = edit(before);
      const { resourceVersion } = found.metadata;
      if (data !== undefined) await this.#client.patch(configMaps, this.#at, { metadata: { resourceVersion }, data });
      return before;
    }, CONFLICTS);
  }

  async #get(): Promise<ConfigMap> {
    const found = await this.#client.find(configMaps, this.#at);
    if (found === undefined)
      throw fail('failed-precondition', `config map ${keyOf(this.#at)}: is missing`, {
        hint: 'it notes which Secrets have the finalizer and comes with the chart: helm upgrade makes it again',
      });
    return found;
  }
}

function recorded({ data = {} }: ConfigMap): Recorded {
  const keys = new Set((data[SECRETS] ?? '').split('\n').filter((line) => line !== ''));
  const since = Date.now() - Date.parse(data[RELEASED] ?? '');
  return { keys, releasedForMs: since < RELEASED_MS ? RELEASED_MS - since : 0 };
}

const textOf = (keys: readonly string[]): string => keys.toSorted().join('\n');
