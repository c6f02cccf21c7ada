// `npm run bench -- --scale`: what operations cost in directories of growing size and in a tree, and what the client's
// processes hold in memory meanwhile. Options: --entries N[,...], --tree FILES, --only CLIENT, --juicefs-up-to N.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeKey } from '../harness/keys.ts';
import { runOk } from '../harness/program.ts';
import { Temp } from '../harness/temp.ts';
import { type Client, JuicefsClient, OursClient } from './clients.ts';
import type { Figures } from './workloads.ts';

const program = fileURLToPath(new URL('scale.py', import.meta.url));
/** A million entries take a quarter of an hour; what hangs ends some time. */
const TIMEOUT_MS = 3_600_000;
/** Operations measured at each size. */
const SAMPLE = 2000;

export interface ScaleOptions {
  readonly entries: readonly number[];
  readonly tree: number;
  readonly only: string | undefined;
  readonly juicefsUpTo: number;
}

async function load(client: Client, mode: string, folder: string, ...numbers: readonly number[]): Promise<Figures> {
  const args = [program, mode, join(client.mountPoint, folder), ...numbers.map(String)];
  const figures = JSON.parse(await runOk('python3', args, { timeoutMs: TIMEOUT_MS })) as Figures;
  return { ...figures, 'MiB resident': client.usage().resident };
}

async function remount(client: Client): Promise<void> {
  await client.umount();
  await client.mount();
}

function show(client: Client, what: string, figures: Figures): void {
  const shown = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(0)}`);
  console.log(`${client.name.padEnd(8)} ${what.padEnd(20)} ${shown.join('  ')}`);
}

async function directory(client: Client, entries: readonly number[]): Promise<void> {
  let from = 0;
  for (const size of entries) {
    show(client, `filled to ${size}`, await load(client, 'fill', 'large', from, size));
    from = size;
    await remount(client);
    show(client, `${size} entries, cold`, await load(client, 'cold', 'large', size, SAMPLE));
    show(client, `${size} entries`, await load(client, 'work', 'large', size, SAMPLE));
    // What the measurement took away and left behind, so that the next size is what it says.
    await runOk('python3', ['-c', RESTORE, join(client.mountPoint, 'large'), String(size)], { timeoutMs: TIMEOUT_MS });
  }
}

const RESTORE = `
import os, stat, sys
top, size = sys.argv[1], int(sys.argv[2])
names = set(os.listdir(top))
for name in names:
    if name.startswith('fresh-'): os.unlink(f'{top}/{name}')
for i in range(size):
    if f'entry-{i:08d}' not in names: os.mknod(f'{top}/entry-{i:08d}', 0o644 | stat.S_IFREG)
`;

async function tree(client: Client, files: number): Promise<void> {
  show(client, `tree of ${files}`, await load(client, 'tree', 'tree', files));
  await remount(client);
  show(client, `tree of ${files}, cold`, await load(client, 'walk', 'tree'));
}

/** Operations per second, and memory of the client's processes after each step. */
export async function scale({ entries, tree: files, only, juicefsUpTo }: ScaleOptions): Promise<void> {
  const temp = new Temp();
  try {
    const key = await makeKey(temp, 2048, 'pkcs8', 'bench');
    for (const client of [new OursClient(temp, key), new JuicefsClient(temp, key)]) {
      if (only !== undefined && only !== client.name) continue;
      const sizes = client instanceof JuicefsClient ? entries.filter((size) => size <= juicefsUpTo) : entries;
      await client.format();
      await client.mount();
      if (files > 0) await tree(client, files);
      await directory(client, sizes);
      await client.umount();
    }
  } finally {
    await temp.remove();
  }
}
