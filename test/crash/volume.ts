// A volume with background mounts that are killed, and the checks that everybody agrees on it afterwards.
import assert from 'node:assert/strict';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place } from '../harness/place.ts';
import type { Temp } from '../harness/temp.ts';
import { placeViolations } from '../model/invariants.ts';

export const PASSPHRASE = 'crash passphrase';

export class CrashVolume {
  readonly temp: Temp;
  readonly place: Place;
  readonly pageseal: Pageseal;
  readonly mountPoint: string;
  readonly key: TestKey;
  /** Whether the original client opens it too. */
  readonly shared: boolean;

  private constructor(temp: Temp, place: Place, key: TestKey, shared: boolean) {
    this.temp = temp;
    this.place = place;
    this.key = key;
    this.shared = shared;
    this.pageseal = new Pageseal(temp, PASSPHRASE);
    this.mountPoint = temp.at('mount');
  }

  static async make(temp: Temp, shared: boolean): Promise<CrashVolume> {
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const volume = new CrashVolume(temp, await newPlace(temp), key, shared);
    const flags = [shared ? '--encrypt-rsa-key' : '--rsa-key', key.file, '--trash-days', '0', '--block-size', '256K'];
    await volume.pageseal.formatAt(volume.place, 'crash', flags);
    return volume;
  }

  get metaUrl(): string {
    return this.place.metaUrl;
  }

  get keyFlags(): string[] {
    return this.shared ? [] : ['--rsa-key', this.key.file];
  }

  /** Never looks at the mount point itself: a mount of the dead may stand there. */
  async mount(): Promise<void> {
    const log = ['--log', `${this.mountPoint}.log`];
    await this.pageseal.ok(['mount', '-d', this.metaUrl, this.mountPoint, ...log, ...this.keyFlags]);
  }

  /** Of the volume that nobody has mounted. */
  async check(): Promise<void> {
    await this.pageseal.ok(['fsck', this.metaUrl, ...this.keyFlags]);
    assert.deepEqual(await placeViolations(this.place), []);
    if (!this.shared) return;
    const juicefs = new Juicefs(this.temp, PASSPHRASE);
    assert.deepEqual(await juicefs.fsck(this.metaUrl), []);
    assert.deepEqual(await juicefs.fsckTree(this.metaUrl), []);
  }
}
