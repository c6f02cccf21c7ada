// An unencrypted file system that is to be encrypted, with the few acts that tests of it share.
import { readFileSync } from 'node:fs';
import type { Clock } from '../../src/base/clock.ts';
import { beginConversion } from '../../src/filesystem/encryption/lock.ts';
import { confirmNoSessions } from '../../src/filesystem/encryption/sessions.ts';
import { type SwitchOptions, switchOn } from '../../src/filesystem/encryption/switch.ts';
import type { FileSystemPlace, Switched } from '../../src/filesystem/encryption/words.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import type { FormatOptions } from '../../src/filesystem/format-record.ts';
import { openFileSystem } from '../../src/filesystem/open.ts';
import type { FileSystem, KeySource } from '../../src/filesystem/options.ts';
import { Files } from '../crash/kill-points-scenarios.ts';
import { newPlace, type Place, rows } from '../harness/place.ts';
import type { Temp } from '../harness/temp.ts';

export const NAME = 'demo';
export const OWNER = { owner: 'user' } as const;

/** Time that passes only when somebody waits for it. */
export class WaitingClock implements Clock {
  #now = 0;
  /** Before each pause. */
  onSleep: (now: number) => Promise<void> = async () => undefined;

  now(): number {
    return this.#now;
  }

  async sleep(ms: number): Promise<void> {
    await this.onSleep(this.#now);
    this.#now += ms;
  }
}

export class Convertible {
  readonly place: Place;
  readonly at: FileSystemPlace;

  private constructor(place: Place) {
    this.place = place;
    this.at = { metaUrl: place.metaUrl };
  }

  static async make(temp: Temp, options: Partial<FormatOptions> = {}, name?: string): Promise<Convertible> {
    const made = new Convertible(await newPlace(temp, name));
    const { metaUrl, store } = made.place;
    await formatVolume({ metaUrl, store, name: NAME, key: { kind: 'none' }, pageSize: 65_536, ...options });
    return made;
  }

  /** Opens, works, closes. */
  async use(work: (files: Files, fileSystem: FileSystem) => Promise<void>, key?: KeySource): Promise<void> {
    const { metaUrl } = this.place;
    const fileSystem = await openFileSystem({ metaUrl, backgroundJobs: false, ...(key && { key }) });
    try {
      await work(new Files(fileSystem.vfs, metaUrl), fileSystem);
    } finally {
      await fileSystem.close();
    }
  }

  async record(): Promise<string> {
    const [row] = await rows(this.place, "SELECT CAST(value AS TEXT) AS value FROM jfs_setting WHERE name = 'format'");
    return String(row?.['value']);
  }

  setRecord(text: string): Promise<void> {
    return this.place.change("UPDATE jfs_setting SET value = ? WHERE name = 'format'", text);
  }

  async uuid(): Promise<string> {
    return (JSON.parse(await this.record()) as { UUID: string }).UUID;
  }

  /** Locked, and nobody there: no second passes. */
  async confirm(clock: Clock = new WaitingClock()): Promise<void> {
    for (const { kind } of [await beginConversion(this.at, OWNER), await confirmNoSessions(this.at, { clock })])
      if (kind !== 'locked' && kind !== 'confirmed') throw new Error(`the conversion is ${kind}`);
  }

  switchOn(key: SwitchOptions['key']): Promise<Switched> {
    return switchOn(this.at, { ...OWNER, key });
  }
}

export const pemOf = (file: string): Buffer => readFileSync(file);
