// A dump into an empty database. The record is written last, in one transaction with the counters: until then the database
// holds no file system for anybody, and after a failure it holds nothing at all.
import { nowNs } from '../../base/clock.ts';
import { FsError, fail, hasCode } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import { OWN_KEY } from '../dump/own-tables.ts';
import { newDirectory } from '../meta/new-directory.ts';
import { insertSettingText, settingText } from '../meta/record-row.ts';
import { bigintAt } from '../meta/rows.ts';
import { createTables, dropTables } from '../meta/schema.ts';
import { parseRecord, parseSetting, printRecord, type Setting } from '../meta/setting.ts';
import { addCounter, insertNode } from '../meta/statements.ts';
import { type Ino, ROOT, TRASH } from '../meta/types.ts';
import { type Change, change, type Engine, type Op, query, read, write } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { openStore } from '../store/open-store.ts';
import type { StoreSettings } from '../store/store.ts';
import { storeSettings } from '../store-settings.ts';
import { Batch } from './batch.ts';
import { integerOf, type JsonObject, MAX_ID, objectOf } from './fields.ts';
import { highestStoredSlice } from './highest-object.ts';
import { JsonReader } from './json-reader.ts';
import { loadOwnTables } from './own-tables.ts';
import { insertOwnerQuota, type Limits } from './rows.ts';
import { TreeLoader, type Usage } from './tree.ts';

export interface LoadOptions {
  readonly metaUrl: string;
  /** Pieces of JSON text. */
  readonly text: AsyncIterable<Buffer>;
  /** Where the objects are, if not where the record says. */
  readonly store?: Partial<StoreSettings>;
  /** Do not look at the store: ids are then taken from far above anything that can have been used. */
  readonly skipBucket?: boolean;
  readonly progress?: OnProgress;
  readonly bucketProgress?: OnProgress;
}

export interface LoadSummary {
  readonly name: string;
  readonly uuid: string;
  readonly entries: number;
  readonly usedSpace: bigint;
  readonly inodes: bigint;
  /** The next slice gets it. */
  readonly nextSlice: bigint;
  readonly notes: readonly string[];
}

/** Slices that may have been written after the dump by clients nobody knows of: a million per second for two weeks. */
const SKIPPED_BUCKET = 2n ** 40n;

export async function loadMetadata(options: LoadOptions): Promise<LoadSummary> {
  const engine = await openEngine(options.metaUrl, { create: true });
  try {
    await beginLoad(engine);
    try {
      return await new Loader(engine, options).run();
    } catch (thrown) {
      await dropTables(engine);
      // What looks like damage of a volume's rows is a bad dump here.
      const error = FsError.from(thrown, 'load metadata');
      throw error.code === 'metadata-damaged' ? fail('bad-input', error.message, { cause: error }) : error;
    }
  } finally {
    await engine.close();
  }
}

const LOADING = 'load';
const anyNode = query('SELECT inode FROM jfs_node LIMIT 1', [], (row) => bigintAt(row, 0));
const loadingRow = query('SELECT since FROM pageseal_lock WHERE name = ?', [LOADING], (row) => bigintAt(row, 0));

/** Rows of a load that was killed are taken away; anything else that is there stays, and load refuses. */
async function beginLoad(engine: Engine): Promise<void> {
  const text = await engine.view(settingText).catch((thrown: unknown) => {
    if (hasCode(thrown, 'not-formatted')) return undefined;
    throw thrown;
  });
  if (text !== undefined) throw notEmpty(engine);
  await createTables(engine);
  const found = await engine.view(function* () {
    const [nodes, loading] = yield* read(anyNode, loadingRow);
    return { nodes: nodes.length > 0, loading: loading.length > 0 };
  });
  if (found.nodes && !found.loading) throw notEmpty(engine);
  if (found.loading) {
    await dropTables(engine);
    await createTables(engine);
  }
  await engine.run(
    function* () {
      yield* write(
        change('INSERT INTO pageseal_lock (name, record, since) VALUES (?, ?, ?)', LOADING, Buffer.alloc(0), nowNs()),
      );
    },
    { durable: true },
  );
}

const notEmpty = (engine: Engine): Error =>
  fail('already-formatted', `load into ${engine.description}: it holds a file system`, {
    hint: 'load into a new database, and take the old one away only after you have looked at the new one',
  });

class Loader {
  readonly #engine: Engine;
  readonly #options: LoadOptions;
  readonly #reader: JsonReader;
  readonly #batch: Batch;
  readonly #notes: string[] = [];
  readonly #quotas = new Map<Ino, Limits>();
  readonly #owners = [new Map<bigint, Limits>(), new Map<bigint, Limits>()] as const;
  #setting: Setting | undefined;
  #text = '';
  #counters: JsonObject = {};
  #tree: TreeLoader | undefined;
  #trashRow = false;
  #highestSlice = 0n;

  constructor(engine: Engine, options: LoadOptions) {
    this.#engine = engine;
    this.#options = options;
    this.#reader = new JsonReader(options.text);
    this.#batch = new Batch(engine);
  }

  async run(): Promise<LoadSummary> {
    const reader = this.#reader;
    try {
      await reader.expect('{');
      for (let first = true; ; first = false) {
        const key = await reader.key(first);
        if (key === undefined) break;
        await this.#part(key);
      }
      await reader.end();
    } finally {
      await reader.close();
    }
    return this.#finish();
  }

  async #part(key: string): Promise<void> {
    const reader = this.#reader;
    switch (key) {
      case 'Setting':
        return this.#record(await reader.text());
      case 'Counters':
        this.#counters = objectOf(await reader.value(), 'Counters');
        return;
      case 'DelFiles':
        return this.#deletedFiles();
      case 'Quotas':
        return this.#limits(this.#quotas, 1n);
      case 'UserQuotas':
        return this.#limits(this.#owners[0], 0n);
      case 'GroupQuotas':
        return this.#limits(this.#owners[1], 0n);
      case 'FSTree':
        return this.#newTree().load(ROOT);
      case 'Trash':
        this.#trashRow = true;
        return this.#loadedTree().load(TRASH);
      case OWN_KEY: {
        const { highest } = await loadOwnTables(reader, this.#batch);
        this.#noteSlice(highest);
        return;
      }
      // Whoever had these open has them no more; and what a later release adds.
      default:
        await reader.text();
    }
  }

  /** First of all: what is checked here fails before anything is written. */
  async #record(text: string): Promise<void> {
    this.#text = printRecord(parseRecord(text));
    const setting = parseSetting(this.#text);
    this.#setting = setting;
    if (this.#options.skipBucket === true) {
      this.#notes.push('the store was not looked at: slice ids go on far above those in the dump');
      return;
    }
    const store = await openStore(storeSettings({ setting, ours: {} }, this.#options.store)).catch((thrown) => {
      const { code, message } = FsError.from(thrown);
      throw fail(code, `${message}; wanted to see which slice ids are taken`, {
        cause: thrown,
        hint: '--bucket says where the objects are now; --skip-bucket loads without looking',
      });
    });
    try {
      this.#noteSlice(await highestStoredSlice(store, setting.name, this.#options.bucketProgress ?? (() => undefined)));
    } finally {
      await store.close();
    }
  }

  #noteSlice(id: bigint): void {
    if (id > this.#highestSlice) this.#highestSlice = id;
  }

  async #deletedFiles(): Promise<void> {
    const reader = this.#reader;
    if (await reader.isNull()) return;
    await reader.expect('[');
    for (let first = true; await reader.element(first); first = false) {
      const row = objectOf(await reader.value(), 'DelFiles');
      const [ino = 0n, length = 0n, expire = 0n] = ['inode', 'length', 'expire'].map((name) =>
        integerOf(row[name], `DelFiles: ${name}`, MAX_ID),
      );
      await this.#batch.add(
        change(
          'INSERT INTO jfs_delfile (inode, length, expire) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
          ino,
          length,
          expire,
        ),
      );
    }
  }

  async #limits(into: Map<bigint, Limits>, lowest: bigint): Promise<void> {
    const value = await this.#reader.value();
    if (value === null) return;
    for (const [id, limits] of Object.entries(objectOf(value, 'quotas'))) {
      if (!/^\d{1,19}$/.test(id) || BigInt(id) < lowest) throw this.#reader.fail(`a quota of ${id.slice(0, 40)}`);
      const { maxSpace, maxInodes } = objectOf(limits, `quota of ${id}`);
      const limit = (max: typeof maxSpace): bigint => integerOf(max, `quota of ${id}`, MAX_ID, -MAX_ID);
      into.set(BigInt(id), { maxSpace: limit(maxSpace), maxInodes: limit(maxInodes) });
    }
  }

  #newTree(): TreeLoader {
    const setting = this.#setting;
    if (setting === undefined) throw this.#reader.fail('FSTree before Setting');
    if (this.#tree !== undefined) throw this.#reader.fail('FSTree twice');
    const inodes = integerOf(this.#counters['usedInodes'], 'Counters: usedInodes', MAX_ID, -MAX_ID);
    this.#tree = new TreeLoader({
      engine: this.#engine,
      batch: this.#batch,
      reader: this.#reader,
      dirStats: setting.dirStats,
      quotas: this.#quotas,
      owners: setting.userGroupQuota || this.#owners.some((limits) => limits.size > 0),
      progress: (done) => this.#options.progress?.(done, Number(inodes)),
    });
    return this.#tree;
  }

  #loadedTree(): TreeLoader {
    if (this.#tree === undefined) throw this.#reader.fail('the tree is missing: the dump is cut,');
    return this.#tree;
  }

  /** What was counted, and at last the record. */
  async #finish(): Promise<LoadSummary> {
    const setting = this.#setting;
    if (setting === undefined) throw this.#reader.fail('no Setting');
    const tree = this.#loadedTree();
    this.#noteSlice(tree.highestSlice);
    for (const ino of this.#quotas.keys())
      this.#notes.push(`the quota of directory ${ino} is left out: it is not there`);
    if (setting.secretKey === 'removed')
      this.#notes.push("the store's secret key is not in the dump: set it with pageseal config --secret-key");
    await this.#batch.add(...this.#ownerQuotas(tree, setting), ...this.#trash(setting));
    await this.#batch.flush();
    const counters = this.#finalCounters(tree);
    const text = this.#text;
    await this.#engine.run(
      function* (): Op<void> {
        yield* write(
          // Of files that were deleted but open, or not yet purged: their records are in no dump.
          change('DELETE FROM pageseal_page WHERE slice_id NOT IN (SELECT r.chunkid FROM jfs_chunk_ref r)'),
          ...Object.entries(counters).map(([name, value]) => addCounter(name, value)),
          change('DELETE FROM pageseal_lock WHERE name = ?', LOADING),
          insertSettingText(text),
        );
      },
      { durable: true },
    );
    return {
      name: setting.name,
      uuid: setting.uuid,
      entries: tree.entries,
      usedSpace: tree.total.space,
      inodes: tree.total.inodes,
      nextSlice: counters.nextChunk,
      notes: this.#notes,
    };
  }

  /** A volume with a trash has its directory, whether or not the dump does. */
  #trash(setting: Setting): Change[] {
    if (this.#trashRow || setting.trashDays === 0) return [];
    return [insertNode(newDirectory(TRASH, 0o555, ROOT, nowNs()))];
  }

  #ownerQuotas(tree: TreeLoader, setting: Setting): Change[] {
    return [tree.users, tree.groups].flatMap((used, kind) => {
      const limits = this.#owners[kind] ?? new Map<bigint, Limits>();
      const ids = new Set([...(setting.userGroupQuota ? used.keys() : []), ...limits.keys()]);
      const none: Usage = { space: 0n, inodes: 0n };
      return [...ids].map((id) =>
        insertOwnerQuota(BigInt(kind + 1), id, limits.get(id) ?? NO_LIMITS, used.get(id) ?? none),
      );
    });
  }

  #finalCounters(tree: TreeLoader) {
    const dumped = (name: string): bigint => integerOf(this.#counters[name], `Counters: ${name}`, MAX_ID, -MAX_ID);
    const after = (highest: bigint, counter: bigint): bigint => (highest >= counter ? highest + 1n : counter);
    const skipped = this.#options.skipBucket === true ? SKIPPED_BUCKET : 0n;
    const trashes = tree.highestTrash - TRASH;
    const nextTrash = after(trashes, dumped('nextTrash') + 1n) - 1n;
    return {
      nextInode: after(tree.highestInode, dumped('nextInodes')),
      nextChunk: after(this.#highestSlice, dumped('nextChunk')) + skipped,
      nextSession: dumped('nextSession'),
      usedSpace: tree.total.space,
      totalInodes: tree.total.inodes,
      nextCleanupSlices: 0n,
      ...(nextTrash > 0n && { nextTrash }),
    };
  }
}

const NO_LIMITS: Limits = { maxSpace: -1n, maxInodes: -1n };
