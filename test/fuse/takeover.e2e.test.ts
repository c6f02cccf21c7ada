// A server that is killed again and again behind one mount, whose descriptor somebody else keeps. Where the kernel can
// send requests again no call fails; where it cannot, those in flight fail with EIO and nobody waits for ever.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountFuse } from '../../src/fuse/mount.ts';
import { parseMountOptions } from '../../src/fuse/mount-options.ts';
import { ended } from '../harness/program.ts';
import { FILES } from './disk-vfs.ts';
import { mountPoint, takeAway } from './mounted.ts';

const server = join(import.meta.dirname, 'takeover-server.ts');
const KILLS = 12;

/** One thread per file: stat, write 4 KiB, read it back; until the stop file is there. Prints operations and errors. */
const CLIENT = `
import os, sys, threading, json
mount, stop, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
done = [0] * threads; errors = []; wrong = []
def work(me):
    fd = None
    n = 0
    while not os.path.exists(stop):
        path = f'{mount}/f{me}'
        try:
            if fd is None: fd = os.open(path, os.O_RDWR)
            os.stat(path)
            n += 1
            data = (b'%d-%08d ' % (me, n)) * 373
            data = data[:4096]
            at = (n % 16) * 4096
            if os.pwrite(fd, data, at) != len(data): wrong.append('short')
            if os.pread(fd, len(data), at) != data: wrong.append(f'{path} {at}')
            done[me] += 1
        except OSError as e: errors.append(e.errno)
all = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
for t in all: t.start()
for t in all: t.join()
print(json.dumps({'done': sum(done), 'errors': errors, 'wrong': wrong}))
`;

interface Outcome {
  readonly done: number;
  readonly errors: readonly number[];
  readonly wrong: readonly string[];
  readonly resent: number;
}

async function killUnderLoad(mode: '' | 'without-resend'): Promise<Outcome> {
  const files = mkdtempSync(join(tmpdir(), 'pageseal-takeover-'));
  const directory = mountPoint();
  const options = parseMountOptions(['allow_other']);
  const descriptor = mountFuse({ target: directory, source: 'test', options });
  let current: ChildProcess | undefined;
  /** Resolves with the server's output once it serves. */
  const start = async (state: string): Promise<AsyncIterator<string>> => {
    const stdio = ['ignore', 'pipe', 'inherit', descriptor] as const;
    current = spawn(process.execPath, [server, files, state, mode], { stdio: [...stdio] });
    assert(current.stdout);
    const lines = createInterface(current.stdout)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'ready');
    return lines;
  };
  const kill = async (): Promise<void> => {
    if (current === undefined) return;
    current.kill('SIGKILL');
    // Unmounted it ends by itself, maybe before it is killed.
    await ended(current);
  };
  writeFileSync(join(files, 'inflight'), Buffer.alloc(2048));
  try {
    const state = (await (await start('')).next()).value as string;
    const client = spawn('python3', ['-c', CLIENT, directory, join(files, 'stop'), String(FILES)]);
    let printed = '';
    client.stdout.on('data', (text) => (printed += text));
    const clientEnded = once(client, 'exit');
    for (let i = 0; i < KILLS; i++) {
      // When exactly the kill comes does not matter.
      await sleep(50 + 17 * i);
      await kill();
      await start(state);
    }
    writeFileSync(join(files, 'stop'), '');
    assert.deepEqual(await clientEnded, [0, null]);
    const resent = existsSync(join(files, 'resent')) ? statSync(join(files, 'resent')).size : 0;
    return { ...(JSON.parse(printed) as Omit<Outcome, 'resent'>), resent };
  } finally {
    await takeAway(directory);
    await kill();
    closeSync(descriptor);
    rmSync(files, { recursive: true, force: true });
  }
}

suite('a server killed behind its mount', { timeout: 300_000 }, () => {
  test('no call fails, and requests in flight are sent again', async (t) => {
    const { done, errors, wrong, resent } = await killUnderLoad('');
    t.diagnostic(`${KILLS} kills, ${done} rounds of stat, write and read, ${resent} requests sent again`);
    assert.deepEqual(errors, []);
    assert.deepEqual(wrong, []);
    assert(done > KILLS);
    assert(resent > 0);
  });

  test('without resend those in flight fail with EIO, and nobody waits for ever', async (t) => {
    const { done, errors, wrong, resent } = await killUnderLoad('without-resend');
    t.diagnostic(`${KILLS} kills, ${done} rounds, ${errors.length} calls failed`);
    assert.deepEqual(wrong, []);
    assert(errors.length > 0 && errors.length <= KILLS * FILES);
    assert(errors.every((errno) => errno === 5));
    assert.equal(resent, 0);
    assert(done > KILLS);
  });
});
