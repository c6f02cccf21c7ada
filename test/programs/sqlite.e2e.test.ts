// SQLite on a mount, in rollback and in WAL mode, several processes at once: locks, shared memory, fsync.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { ProgramVolume } from './volume.ts';

const script = fileURLToPath(new URL('sqlite.py', import.meta.url));
const WRITERS = 3;

describe('sqlite', needs(...interopNeeds), () => {
  for (const mode of ['delete', 'truncate', 'persist', 'wal'])
    test(`journal mode ${mode}`, async (t) => {
      const temp = makeTemp(t);
      const volume = await ProgramVolume.mount(temp);
      const database = join(volume.top, 'bank.db');
      const python = (...args: string[]): Promise<string> => volume.run('python3', [script, database, ...args]);
      await python('make', mode);
      const counts = await Promise.all(
        Array.from({ length: WRITERS }, (_, i) => python('work', String(i), String(sizes.transactions))),
      );
      const committed = counts.reduce((sum, count) => sum + Number(count), 0);
      assert.equal((await python('check')).trim(), `ok ${committed}`);
      await volume.remount();
      assert.equal((await python('check')).trim(), `ok ${committed}`);
      await volume.end();
    });
});
