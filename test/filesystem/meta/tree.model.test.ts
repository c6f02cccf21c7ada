// Random operations against the reference tree: the same answers, the same tree, and the format's invariants.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FsError } from '../../../src/base/errors.ts';
import type { Ino } from '../../../src/filesystem/meta/types.ts';
import { ModelError, type ModelNode, TreeModel } from '../../model/tree-model.ts';
import { sizes } from '../../sizes.ts';
import { bytes, listing, root, type TreeVolume, treeVolume } from './tree-volume.ts';

/** A volume is made for each run, so there are few and long ones. */
const RUNS = Math.ceil(sizes.propertyRuns / 10);
const STEPS = 150;
const kinds = { 1: 'file', 2: 'directory', 3: 'symlink' } as const;

interface Step {
  readonly what: 'file' | 'directory' | 'symlink' | 'link' | 'unlink' | 'rmdir' | 'rename' | 'open' | 'close';
  readonly from: number;
  readonly name: string;
  readonly to: number;
  readonly newName: string;
  readonly flags: number;
}

const name = fc.constantFrom('a', 'b', 'c', 'd');
const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(
    'file',
    'directory',
    'directory',
    'symlink',
    'link',
    'unlink',
    'rmdir',
    'rename',
    'rename',
    'open',
    'close',
  ),
  from: fc.nat(20),
  name,
  to: fc.nat(20),
  newName: name,
  flags: fc.constantFrom(0, 0, 1, 2),
});

class Run {
  readonly #volume: TreeVolume;
  readonly #model = new TreeModel();
  readonly #inodes = new Map<ModelNode, Ino>();

  constructor(volume: TreeVolume) {
    this.#volume = volume;
    this.#inodes.set(this.#model.root, 1n);
  }

  async take(one: Step): Promise<void> {
    const directories = this.#model.directories();
    const from = directories[one.from % directories.length] ?? this.#model.root;
    const to = directories[one.to % directories.length] ?? this.#model.root;
    const node = from.entries.get(one.name);
    if (one.what === 'open' || one.what === 'close') return this.#count(one.what, node);
    const [wanted, found] = [
      attempt(() => this.#onModel(one, from, to)),
      await attemptLater(this.#onVolume(one, from, to, node)),
    ];
    assert.equal(found, wanted, JSON.stringify(one));
  }

  /** Only opening matters here: what closes later is the open files' own test. */
  #count(what: 'open' | 'close', node: ModelNode | undefined): void {
    const ino = node?.kind === 'file' ? this.#inodes.get(node) : undefined;
    if (ino !== undefined) this.#volume.open[what === 'open' ? 'add' : 'delete'](ino);
  }

  #onModel({ what, name, newName, flags }: Step, from: ModelNode, to: ModelNode): void {
    if (what === 'link') this.#model.link(from, name, to, newName);
    else if (what === 'unlink') this.#model.unlink(from, name);
    else if (what === 'rmdir') this.#model.rmdir(from, name);
    else if (what === 'rename') this.#model.rename(from, name, to, newName, flags);
    else if (what !== 'open' && what !== 'close') this.#model.make(from, name, what);
  }

  async #onVolume(one: Step, from: ModelNode, to: ModelNode, node: ModelNode | undefined): Promise<void> {
    const { tree } = this.#volume;
    const [directory, target] = [this.#inodes.get(from) ?? 0n, this.#inodes.get(to) ?? 0n];
    const [name, newName] = [bytes(one.name), bytes(one.newName)];
    const made = async (ino: Ino): Promise<void> => {
      const here = from.entries.get(one.name);
      if (here !== undefined) this.#inodes.set(here, ino);
    };
    switch (one.what) {
      case 'file':
        return made((await tree.create(root, directory, name, 0o644, true)).attr.ino);
      case 'directory':
        return made((await tree.mkdir(root, directory, name, 0o755)).ino);
      case 'symlink':
        return made((await tree.symlink(root, directory, name, bytes('x'))).ino);
      case 'link': {
        const ino =
          node === undefined ? (await tree.lookup(root, directory, name)).ino : (this.#inodes.get(node) ?? 0n);
        await tree.link(root, ino, target, newName);
        return;
      }
      case 'unlink':
        return tree.unlink(root, directory, name);
      case 'rmdir':
        return tree.rmdir(root, directory, name);
      default:
        return tree.rename(root, directory, name, target, newName, one.flags);
    }
  }

  async compare(withLinks: boolean): Promise<void> {
    const found = new Map<string, string>();
    for (const [path, { type, nlink }] of await listing(this.#volume.tree))
      found.set(path, `${kinds[type as 1]} ${nlink}`);
    // The trash keeps a file's links, so with it their number says nothing about the tree.
    const plain = (map: Map<string, string>) =>
      new Map([...map].sort().map(([path, text]) => [path, withLinks ? text : text.replace(/ \d+$/, '')]));
    assert.deepEqual(plain(found), plain(this.#model.listing()));
    assert.deepEqual(await this.#volume.violations(), []);
  }
}

function attempt(work: () => void): string {
  try {
    work();
    return 'done';
  } catch (thrown) {
    if (thrown instanceof ModelError) return thrown.code;
    throw thrown;
  }
}

const attemptLater = (work: Promise<void>): Promise<string> =>
  work.then(
    () => 'done',
    (thrown: unknown) => {
      if (thrown instanceof FsError && thrown.code !== 'internal') return thrown.code;
      throw thrown;
    },
  );

for (const trashDays of [0, 1])
  test(`random operations, trash of ${trashDays} days`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: STEPS, size: 'max' }), async (steps) => {
        const volume = await treeVolume({ trashDays });
        try {
          const run = new Run(volume);
          for (const one of steps) await run.take(one);
          await run.compare(trashDays === 0);
        } finally {
          await volume.close();
        }
      }),
      // Shrinking makes a volume per try, minutes in all; a failure prints its steps and its seed.
      { numRuns: RUNS, endOnFailure: true },
    );
  });
