// What a node must remember about its volumes between calls: on disk, so that the plugin may be replaced at any time. No
// secret is ever written. What is mounted at this moment is the keeper's to say, not this file's.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { replaceFile } from '../base/atomic-file.ts';
import { log } from '../base/log.ts';

const targetSchema = z.object({
  path: z.string(),
  /** Digest of the arguments: the same target with others is ALREADY_EXISTS. */
  digest: z.string(),
  singleWriter: z.boolean(),
  /** Whose it is, where kubelet says so. */
  pod: z.object({ kind: z.literal('Pod'), namespace: z.string(), name: z.string(), uid: z.string() }).optional(),
});
const stateSchema = z.object({
  volumeId: z.string(),
  /** Mounts end with the boot; a state of an earlier one says nothing. */
  bootId: z.string(),
  /** What the handle stands for; '' while no Secret has told. */
  fileSystemUuid: z.string(),
  staging: z.object({ path: z.string(), digest: z.string() }).nullable(),
  targets: z.array(targetSchema),
});
export type VolumeState = z.infer<typeof stateSchema>;
export type Target = z.infer<typeof targetSchema>;

const STATE = '.json';
const TEMPORARY = '.tmp';

export class NodeState {
  readonly #directory: string;
  readonly #bootId: string;

  private constructor(directory: string, bootId: string) {
    this.#directory = directory;
    this.#bootId = bootId;
  }

  static async open(directory: string): Promise<NodeState> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // Of a predecessor that was killed while it wrote.
    for (const name of await readdir(directory)) if (name.endsWith(TEMPORARY)) await unlink(join(directory, name));
    return new NodeState(directory, (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim());
  }

  /** The volume's state, or an empty one. */
  async read(volumeId: string): Promise<VolumeState> {
    const fresh = { volumeId, bootId: this.#bootId, fileSystemUuid: '', staging: null, targets: [] };
    let text: string;
    try {
      text = await readFile(this.#file(volumeId), 'utf8');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return fresh;
      throw thrown;
    }
    const parsed = stateSchema.safeParse(parseJson(text));
    if (!parsed.success) {
      // Only a disk that lost a rename gets here; the keeper still knows what is mounted.
      log.warn('state of a volume is not readable and starts anew', { volume: volumeId });
      return fresh;
    }
    return parsed.data.bootId === this.#bootId && parsed.data.volumeId === volumeId ? parsed.data : fresh;
  }

  /** Of all volumes, as far as they are of this boot. */
  async all(): Promise<VolumeState[]> {
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith(STATE));
    const texts = await Promise.all(names.map((name) => readFile(join(this.#directory, name), 'utf8').catch(() => '')));
    return texts
      .map((text) => stateSchema.safeParse(parseJson(text)))
      .flatMap(({ data }) => (data === undefined || data.bootId !== this.#bootId ? [] : [data]));
  }

  async write(state: VolumeState): Promise<void> {
    const file = this.#file(state.volumeId);
    await replaceFile(file, `${file}.${randomUUID()}${TEMPORARY}`, [Buffer.from(JSON.stringify(state))], {
      mode: 0o600,
    });
  }

  async remove(volumeId: string): Promise<void> {
    await unlink(this.#file(volumeId)).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'ENOENT') throw thrown;
    });
  }

  /** Handles of static volumes are any text; their digest is a file name. */
  #file(volumeId: string): string {
    return join(this.#directory, `${createHash('sha256').update(volumeId).digest('hex')}${STATE}`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
