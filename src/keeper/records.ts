// The list of mounts on disk: what a keeper left behind that was killed. Written whole or not at all, holds no secret,
// and counts only for the boot in which it was written.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../base/atomic-file.ts';
import { log } from '../base/log.ts';
import { Mutex } from '../base/mutex.ts';

export interface VolumeRecord {
  readonly volumeId: string;
  readonly uuid: string;
  readonly mountPoint: string;
  /** Without a password: only for whoever asks what is mounted. */
  readonly metaUrl: string;
  readonly directory: string;
  readonly stagingPath: string;
  readonly targets: readonly string[];
  readonly readOnly: boolean;
}

/** The list's name in a keeper's run directory. */
export const RECORDS_FILE = 'volumes.json';

export class Records {
  readonly #file: string;
  readonly #mutex = new Mutex();
  readonly #bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

  constructor(runDirectory: string) {
    this.#file = join(runDirectory, RECORDS_FILE);
  }

  /** What the previous keeper of this boot had mounted. */
  load(): VolumeRecord[] {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    try {
      const saved = JSON.parse(text) as { bootId: string; volumes: VolumeRecord[] };
      return saved.bootId === this.#bootId ? saved.volumes : [];
    } catch (error) {
      log.warn('list of mounts is unreadable and left out', { file: this.#file, error: String(error) });
      return [];
    }
  }

  save(volumes: readonly VolumeRecord[]): Promise<void> {
    const text = Buffer.from(JSON.stringify({ bootId: this.#bootId, volumes }, null, 1));
    // One keeper per directory, one write at a time: what is there under this name was left by one that was killed.
    const temporary = `${this.#file}.new`;
    return this.#mutex.run(() => {
      rmSync(temporary, { force: true });
      return replaceFile(this.#file, temporary, [text], { mode: 0o600 });
    });
  }
}
