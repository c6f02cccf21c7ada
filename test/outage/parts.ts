// A volume whose store and database can be made to fail: the real ones behind a switch, and a clock that runs by itself as
// soon as everybody waits for it.

import type { Clock } from '../../src/base/clock.ts';
import type { Log } from '../../src/base/log.ts';
import { outagesOf, type Waits } from '../../src/base/outage.ts';
import type { Caller } from '../../src/base/words.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import { openMeta } from '../../src/filesystem/meta/open-meta.ts';
import { openPageStore } from '../../src/filesystem/page/sealed-page-store.ts';
import type { Attempt, Dialect, Engine, Op, RunOptions } from '../../src/filesystem/sql/op.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { MemStore } from '../../src/filesystem/store/mem-store.ts';
import type { Vfs } from '../../src/filesystem/vfs/vfs.ts';
import { VolumeVfs } from '../../src/filesystem/vfs/volume-vfs.ts';
import type { Temp } from '../harness/temp.ts';

export const PAGE = 65_536;
const O_RDWR = 2;

export class TestClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<{ at: number; wake: () => void }>();
  #turning = false;
  /** Calls of store and database that are not answered yet. */
  busy = 0;

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = { at: this.#now + ms, wake: resolve };
      this.#timers.add(timer);
      const abort = (): void => {
        if (this.#timers.delete(timer)) reject(signal?.reason);
      };
      if (signal?.aborted === true) abort();
      else signal?.addEventListener('abort', abort, { once: true });
      this.#turn(TURNS);
    });
  }

  /** What is under way elsewhere gets its turns first. */
  #turn(turns: number): void {
    if (this.#turning) return;
    this.#turning = true;
    const next = (left: number): void => {
      if (this.busy > 0) return void setImmediate(next, TURNS);
      if (left > 0) return void setImmediate(next, left - 1);
      this.#turning = false;
      this.#advance();
    };
    setImmediate(next, turns);
  }

  #advance(): void {
    const first = Math.min(...[...this.#timers].map(({ at }) => at));
    if (!Number.isFinite(first)) return;
    this.#now = Math.max(this.#now, first);
    for (const timer of this.#timers)
      if (timer.at <= this.#now) {
        this.#timers.delete(timer);
        timer.wake();
      }
    if (this.#timers.size > 0) this.#turn(TURNS);
  }
}

const TURNS = 20;

/** Throws, or not, before each call; or after it, as when an answer is lost. */
export class Fault {
  before: (call: string) => void = () => undefined;
  after: (call: string) => void = () => undefined;
  readonly #clock: TestClock;

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  async around<T>(call: string, work: () => Promise<T>): Promise<T> {
    this.#clock.busy++;
    try {
      this.before(call);
      const result = await work();
      this.after(call);
      return result;
    } finally {
      this.#clock.busy--;
    }
  }
}

class FaultyStore extends MemStore {
  readonly #fault: Fault;
  /** Every content that a key was given. */
  readonly contents = new Map<string, Set<string>>();

  constructor(bucket: string, fault: Fault) {
    super(bucket);
    this.#fault = fault;
  }

  override put(key: string, parts: readonly Buffer[], signal?: AbortSignal): Promise<void> {
    const seen = this.contents.get(key) ?? new Set();
    this.contents.set(key, seen.add(Buffer.concat(parts).toString('base64')));
    return this.#fault.around('put', () => super.put(key, parts, signal));
  }

  override get(key: string, signal?: AbortSignal, maxBytes?: number): Promise<Buffer> {
    return this.#fault.around('get', () => super.get(key, signal, maxBytes));
  }
}

class FaultyEngine implements Engine {
  readonly description: string;
  readonly dialect: Dialect;
  readonly #engine: Engine;
  readonly #fault: Fault;

  constructor(engine: Engine, fault: Fault) {
    this.description = engine.description;
    this.dialect = engine.dialect;
    this.#engine = engine;
    this.#fault = fault;
  }

  run<R>(operation: (attempt: Attempt) => Op<R>, options?: RunOptions): Promise<R> {
    return this.#fault.around('run', () => this.#engine.run(operation, options));
  }

  view<R>(operation: () => Op<R>): Promise<R> {
    return this.#fault.around('view', () => this.#engine.view(operation));
  }

  execute(script: string): Promise<void> {
    return this.#engine.execute(script);
  }

  sync(): Promise<void> {
    return this.#fault.around('sync', () => this.#engine.sync());
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}

export interface Line {
  readonly level: 'error' | 'warn' | 'info';
  readonly message: string;
}

export interface FaultyOptions {
  readonly waits?: Partial<Waits>;
  readonly dirtyBytes?: number;
  readonly trashDays?: number;
  readonly heartbeatMs?: number;
}

let volumes = 0;

export class FaultyVolume {
  readonly url: string;
  readonly name = `outage-${++volumes}`;

  private constructor(temp: Temp) {
    this.url = `sqlite3://${temp.at(`${this.name}.db`)}`;
  }

  static async make(temp: Temp, trashDays = 1): Promise<FaultyVolume> {
    const volume = new FaultyVolume(temp);
    const { url: metaUrl, name } = volume;
    const store = { storage: 'mem', bucket: name };
    await formatVolume({ metaUrl, name, store, key: { kind: 'none' }, trashDays, pageSize: PAGE });
    return volume;
  }

  async mount({ waits, dirtyBytes, heartbeatMs = 3_600_000 }: FaultyOptions = {}) {
    const lines: Line[] = [];
    const says = (level: Line['level']) => (message: string) => void lines.push({ level, message });
    const log: Log = {
      error: says('error'),
      warn: says('warn'),
      info: says('info'),
      debug: () => undefined,
      child: () => log,
    };
    const clock = new TestClock();
    const outages = outagesOf(log, waits, clock);
    const [storeFault, metaFault] = [new Fault(clock), new Fault(clock)];
    const store = new FaultyStore(this.name, storeFault);
    const format = { volumeName: this.name, hashPrefix: false, compression: 'none', encryptAlgo: 'aes256gcm-rsa' };
    const key = { key: undefined, ledger: undefined };
    const pages = openPageStore({ store, outages, ...format, ...key, pageSize: PAGE, cacheBytes: 0, log });
    const engine = new FaultyEngine(await openEngine(this.url), metaFault);
    const session = { mountPoint: '/mnt', heartbeatMs };
    const removeSlice = (id: bigint, size: number): Promise<void> => pages.remove(id, size);
    const meta = await openMeta({ engine, log, outages, session, removeSlice });
    const vfs = new VolumeVfs({ meta, pages, root: 1n, log, outages, ...(dirtyBytes && { dirtyBytes }) });
    const close = async (): Promise<void> => {
      vfs.endSoon();
      await vfs.flushAll().finally(() => meta.close().finally(() => vfs.stop()));
      await pages.close();
    };
    return { vfs, meta, clock, outages, store, storeFault, metaFault, lines, close };
  }
}

export type Mounted = Awaited<ReturnType<FaultyVolume['mount']>>;

export const caller: Caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };

export async function create({ vfs }: { readonly vfs: Vfs }, name: string) {
  const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from(name), 0o644, O_RDWR);
  return { ino: attr.ino, handle };
}

export const content = async ({ vfs }: { readonly vfs: Vfs }, { ino, handle }: { ino: bigint; handle: bigint }) =>
  Buffer.concat(await vfs.read(caller, ino, handle, 0n, 1 << 20));
