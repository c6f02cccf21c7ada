// Random work of two clients on a volume with nested quotas that come and go, and with users and groups: after every
// operation each row and what is pending for it together are exactly what is there, and at the end the rows alone are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../src/base/errors.ts';
import type { Caller } from '../../../src/base/words.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { setQuota } from '../../../src/filesystem/meta/quota-rows.ts';
import { RENAME_NOREPLACE, RENAME_RESTORE } from '../../../src/filesystem/meta/rename.ts';
import { deleteDirQuota } from '../../../src/filesystem/meta/statements.ts';
import { parseTrashName } from '../../../src/filesystem/meta/trash.ts';
import { type Attr, NodeType, TRASH } from '../../../src/filesystem/meta/types.ts';
import { makeTemp } from '../../harness/temp.ts';
import { sizes } from '../../sizes.ts';
import { type QuotaVolume, quotaVolume } from './quota-volume.ts';
import { root } from './volume.ts';

const temp = makeTemp();
const bytes = (text: string): Buffer => Buffer.from(text);

/** mulberry32: small, and the same everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Place {
  readonly parent: bigint;
  readonly name: Buffer;
  readonly attr: Attr;
}

class Worker {
  readonly #volume: QuotaVolume;
  readonly #random: () => number;

  constructor(volume: QuotaVolume, random: () => number) {
    this.#volume = volume;
    this.#random = random;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #one<T>(list: readonly T[]): T {
    const found = list[this.#below(list.length)];
    if (found === undefined) throw new Error('nothing to choose from');
    return found;
  }

  get #meta(): OpenedMeta {
    return this.#one(this.#volume.clients);
  }

  async #places(from = 1n): Promise<Place[]> {
    const found: Place[] = [];
    for (const { name, attr } of await this.#meta.readdir(from, undefined, 1000, true)) {
      if (attr === undefined) continue;
      found.push({ parent: from, name, attr });
      if (attr.type === NodeType.directory) found.push(...(await this.#places(attr.ino)));
    }
    return found;
  }

  /** Answers what it did, for the message of a failure. */
  async step(): Promise<string> {
    const places = await this.#places();
    const directories = [
      1n,
      ...places.filter(({ attr }) => attr.type === NodeType.directory).map(({ attr }) => attr.ino),
    ];
    const files = places.filter(({ attr }) => attr.type === NodeType.file);
    const acts = this.#acts(this.#one(directories), this.#one(directories), places, files);
    const [name, act] = this.#one(acts);
    try {
      await act();
      return name;
    } catch (thrown) {
      // Refusals are part of the game: they must have changed nothing.
      if (!(thrown instanceof FsError) || thrown.code === 'internal') throw thrown;
      return `${name}: ${thrown.code}`;
    }
  }

  #acts(
    directory: bigint,
    other: bigint,
    places: readonly Place[],
    files: readonly Place[],
  ): [string, () => Promise<unknown>][] {
    const meta = this.#meta;
    const name = bytes(this.#one('abcdefgh'.split('')));
    const caller: Caller = { ...root, uid: this.#below(3), gid: this.#below(3) };
    const acts: [string, () => Promise<unknown>][] = [
      ['create', () => meta.create(root, directory, name, 0o666, true)],
      ['create as', () => meta.create(caller, directory, name, 0o666, true)],
      ['mkdir', () => meta.mkdir({ ...caller, umask: 0 }, directory, name, 0o777)],
      ['symlink', () => meta.symlink(caller, directory, name, bytes('target'))],
      [
        'quota',
        () =>
          this.#volume.change(
            setQuota(directory, { maxSpace: BigInt(this.#below(400_000)), maxInodes: BigInt(this.#below(30)) }),
          ),
      ],
      ['no quota', () => this.#volume.change(deleteDirQuota(directory))],
      ['restore', () => this.#restore(meta)],
    ];
    if (places.length > 0) {
      const { parent, name: old, attr } = this.#one(places);
      acts.push(
        [
          'remove',
          () => (attr.type === NodeType.directory ? meta.rmdir(root, parent, old) : meta.unlink(root, parent, old)),
        ],
        ['rename', () => meta.rename(root, parent, old, other, name, 0)],
        ['rename, not over', () => meta.rename(root, parent, old, other, name, 1)],
        ['exchange', () => meta.rename(root, parent, old, other, name, 2)],
        ['chown', () => meta.setattr(root, attr.ino, { uid: caller.uid, gid: caller.gid })],
      );
    }
    if (files.length > 0) {
      const { attr } = this.#one(files);
      acts.push(
        ['truncate', () => meta.truncate(root, attr.ino, BigInt(this.#below(60_000)))],
        ['fallocate', () => meta.fallocate(root, attr.ino, 0, BigInt(this.#below(60_000)), 5000n)],
        ['link', () => meta.link(root, attr.ino, directory, name)],
        [
          'unlink open',
          async () => {
            meta.opened(attr.ino);
            const place = this.#one(files.filter((one) => one.attr.ino === attr.ino));
            await meta.unlink(root, place.parent, place.name).catch(() => undefined);
            await meta.truncate(root, attr.ino, 7000n).catch(() => undefined);
            await meta.closed(attr.ino);
          },
        ],
      );
    }
    return acts; // biome-ignore format: one act a line
  }

  async #restore(meta: OpenedMeta): Promise<void> {
    for (const hour of await meta.readdir(TRASH, undefined, 10, false)) {
      const entries = await meta.readdir(hour.ino, undefined, 1000, false);
      if (entries.length === 0) continue;
      const { name } = this.#one(entries);
      const was = parseTrashName(name);
      if (was === undefined) continue;
      await meta.rename(root, hour.ino, name, was.parent, was.name, RENAME_NOREPLACE | RENAME_RESTORE);
    }
  }
}

for (const trashDays of [0, 1])
  test(`accounts are exact after every operation, trash of ${trashDays} days`, async () => {
    const volume = await quotaVolume(temp, { trashDays, owners: true });
    const seed = Math.floor(Math.random() * 2 ** 31);
    const worker = new Worker(volume, randomFrom(seed));
    const done: string[] = [];
    let refused = 0;
    // On until a limit was met: where all quotas happen to be wide, that takes longer.
    const most = 20 * sizes.quotaOperations;
    for (let i = 0; i < sizes.quotaOperations || (refused === 0 && i < most); i++) {
      done.push(await worker.step());
      if (done.at(-1)?.endsWith('EDQUOT')) refused++;
      assert.deepEqual(await volume.wrong(), [], `seed ${seed}, after ${done.slice(-10).join(', ')}`);
      // Now and then a client goes and another comes: it knows the limits of the moment.
      if (i % 100 === 99) {
        await volume.clients.shift()?.close();
        volume.clients.push(await volume.volume.open());
      }
    }
    assert.ok(refused > 0, `seed ${seed}: no limit was met`);
    assert.deepEqual(await volume.close(), [], `seed ${seed}`);
  });
