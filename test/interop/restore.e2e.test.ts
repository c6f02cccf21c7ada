// Random trees through dump and load of both clients and back onto mounts of both; and the whole way after a disaster: the
// database is gone, the backup in the store brings everything back.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { backupTime } from '../../src/filesystem/backup/retention.ts';
import { openFileSystem } from '../../src/filesystem/open.ts';
import type { KeySource } from '../../src/filesystem/options.ts';
import { dumpOf, loadText } from '../harness/dumps.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { runOk, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { violations } from '../model/invariants.ts';
import { sizes } from '../sizes.ts';

const populateScript = fileURLToPath(new URL('populate.py', import.meta.url));
const PASSPHRASE = 'restored';

/** What a program sees of a tree, contents included; long files are mostly holes and not read. */
const LOOK = `cd "$0" && find . -mindepth 1 -name .trash -prune -o -mindepth 1 ! -name .accesslog ! -name .config ! -name .stats \
  -printf '%P %y %m %U %G %s %T@ %l\\n' | LC_ALL=C sort && find . -name .trash -prune -o -type f -size -1048576k \
  ! -name .accesslog ! -name .config ! -name .stats -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum`;

describe('restore', needs(...interopNeeds), () => {
  const temp = makeTemp();
  const juicefs = new Juicefs(temp, PASSPHRASE);
  const pageseal = new Pageseal(temp, PASSPHRASE);
  const point = (name: string): string => {
    mkdirSync(temp.at(name), { recursive: true });
    return temp.at(name);
  };
  const populate = (seed: number, at: string, ...how: string[]): Promise<string> =>
    runOk('python3', [populateScript, String(seed), at, ...how], { env: temp.env });
  const look = (at: string): Promise<string> => runOk('bash', ['-c', LOOK, at], { env: temp.env });
  const seen = async (mount: () => Promise<unknown>, umount: () => Promise<unknown>, at: string): Promise<string> => {
    await mount();
    try {
      return sameView(await look(at));
    } finally {
      await umount();
    }
  };

  for (let seed = 1; seed <= sizes.dumpedTrees; seed += 1)
    test(`a random tree, seed ${seed}, through both clients`, async () => {
      const name = `random${seed}`;
      const open = new Pageseal(temp);
      const file = temp.at(`${name}.db`);
      const metaUrl = `sqlite3://${file}`;
      await juicefs.format(metaUrl, name, `${temp.folder(name)}/`, ['--block-size', '64K', '--enable-acl']);
      const at = point(`${name}.mount`);
      await juicefs.mount(metaUrl, at);
      await populate(seed, at);
      const before = sameView(await look(at));
      await juicefs.umount(at);
      await juicefs.ok(['quota', 'set', metaUrl, '--path', '/', '--capacity', '100']).catch(() => undefined);
      const database = new DatabaseSync(file);
      database.exec('INSERT INTO jfs_sustained (sid, inode) VALUES (1, 900), (1, 901)');
      database.exec('INSERT INTO jfs_delfile VALUES (950, 7, 1700000000)');
      database.close();

      await juicefs.ok(['dump', metaUrl, temp.at('theirs')]);
      const ours = await dumpOf(metaUrl);
      // U+FFFD itself is the one thing that the original client spells in a way it cannot read back.
      const known = JSON.parse(readFileSync(temp.at('theirs'), 'utf8')) as unknown;
      const { pageseal_tables: _, ...same } = JSON.parse(ours.replaceAll('%EF%BF%BD', '%EF')) as Record<
        string,
        unknown
      >;
      assert.deepEqual(withoutHidden(same), known);

      const loaded = temp.at(`${name}.loaded.db`);
      await loadText(`sqlite3://${loaded}`, ours, { size: 65_536 });
      assert.deepEqual(violations(loaded), []);
      assert.equal((await dumpOf(`sqlite3://${loaded}`)).replace(SUSTAINED, ''), ours.replace(SUSTAINED, ''));
      const again = temp.at(`${name}.again.db`);
      writeFileSync(temp.at('ours'), await dumpOf(`sqlite3://${loaded}`));
      await juicefs.ok(['load', `sqlite3://${again}`, temp.at('ours')]);
      // Its load counts the references of slices wrong where a file has holes.
      await pageseal.run(['fsck', '--repair', `sqlite3://${again}`]);
      for (const url of [`sqlite3://${loaded}`, `sqlite3://${again}`]) {
        const mine = point('mine');
        assert.equal(
          await seen(
            () => open.mount(url, mine),
            () => pageseal.umount(mine),
            mine,
          ),
          before,
        );
        assert.deepEqual(await juicefs.fsck(url), []);
        await pageseal.ok(['fsck', url]);
      }
      const theirs = point('theirs-mount');
      const url = `sqlite3://${loaded}`;
      assert.equal(
        await seen(
          () => juicefs.mount(url, theirs),
          () => juicefs.umount(theirs),
          theirs,
        ),
        before,
      );
    });

  interface Custody {
    readonly name: string;
    readonly flag: string;
    readonly key: (key: TestKey) => KeySource;
  }
  const passphrase = (): Buffer => Buffer.from(PASSPHRASE);
  // biome-ignore format: a table
  const custodies: Custody[] = [
    { name: 'self-managed', flag: '--rsa-key', key: ({ file }) => ({ kind: 'pem', pem: readFileSync(file), passphrase: passphrase() }) },
    { name: 'in-metadata', flag: '--encrypt-rsa-key', key: () => ({ kind: 'in-metadata', passphrase: passphrase() }) },
  ];

  for (const { name, flag, key: source } of custodies)
    test(`${name}: the database is lost, the backup brings it back`, async () => {
      const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
      const file = temp.at(`${name}.db`);
      const metaUrl = `sqlite3://${file}`;
      const bucket = `${temp.folder(`${name}.bucket`)}/`;
      await pageseal.format(metaUrl, 'lost', bucket, [flag, key.file, '--block-size', '64K']);
      const keyFlags = name === 'self-managed' ? ['--rsa-key', key.file] : [];
      const at = point(`${name}.mount`);
      await pageseal.mount(metaUrl, at, keyFlags);
      await populate(7, at);
      const before = await look(at);
      await pageseal.umount(at);

      const fs = await openFileSystem({ metaUrl, key: source(key), backup: { intervalMs: 500, skipTrash: false } });
      const folder = `${bucket}lost/meta`;
      await until('a backup', () => backups(folder).length > 0);
      await fs.close();
      for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });

      const backup = join(folder, backups(folder).at(-1) ?? '');
      assert.doesNotMatch(readFileSync(backup).toString('latin1'), /FSTree|lost/);
      const other = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
      assert.equal((await pageseal.run(['load', metaUrl, backup, '--encrypt-rsa-key', other.file])).code, 3);
      assert.equal((await pageseal.run(['load', metaUrl, backup])).code, 2);
      await pageseal.ok(['load', metaUrl, backup, '--encrypt-rsa-key', key.file]);
      assert.deepEqual(violations(file), []);
      await pageseal.mount(metaUrl, at, keyFlags);
      assert.equal(await look(at), before);
      writeFileSync(temp.at('new'), 'new');
      await runOk('cp', [temp.at('new'), join(at, 'new')]);
      await pageseal.umount(at);
      await pageseal.ok(['fsck', '--deep', metaUrl, ...keyFlags]);

      const back = `sqlite3://${temp.at(`${name}.back.db`)}`;
      const theirs = await juicefs.run(['load', back, backup, '--encrypt-rsa-key', key.file]);
      if (name === 'self-managed') assert.notEqual(theirs.code, 0, 'the original client must not take it for its own');
      else assert.deepEqual([theirs.code, await juicefs.fsck(back)], [0, []]);
    });

  test('a backup that the original client made', async () => {
    const key = await makeKey(temp, 2048, 'traditional', PASSPHRASE);
    const metaUrl = `sqlite3://${temp.at('original.db')}`;
    const bucket = `${temp.folder('original')}/`;
    await juicefs.format(metaUrl, 'original', bucket, ['--encrypt-rsa-key', key.file, '--block-size', '64K']);
    const at = point('original.mount');
    // Its shortest interval; it looks after a tenth of it.
    const quiet = ['--no-usage-report', '--cache-dir', temp.at('original.cache'), '--log', temp.at('original.log')];
    await juicefs.ok(['mount', '-d', metaUrl, at, '--backup-meta', '5m', '--enable-xattr', ...quiet]);
    await populate(3, at, 'without-U+FFFD');
    const before = await look(at);
    await until('a backup', () => backups(`${bucket}original/meta`).length > 0, 90_000);
    await juicefs.umount(at);
    const backup = join(`${bucket}original/meta`, backups(`${bucket}original/meta`).at(-1) ?? '');
    const loaded = `sqlite3://${temp.at('original-loaded.db')}`;
    await pageseal.ok(['load', loaded, backup, '--encrypt-rsa-key', key.file]);
    await pageseal.mount(loaded, at);
    assert.equal(sameView(await look(at)), sameView(before));
    await pageseal.umount(at);
  });
});

interface Entry {
  readonly attr?: { readonly length: number };
  chunks?: { readonly index: number }[];
}

/** The original client leaves out rows behind the end of a file that was cut: its load then forgets their slices. */
function withoutHidden(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const entry = value as Entry;
  const { length } = entry.attr ?? { length: 0 };
  if (entry.chunks !== undefined) {
    entry.chunks = entry.chunks.filter(({ index }) => index * 2 ** 26 < length);
    if (entry.chunks.length === 0) delete entry.chunks;
  }
  for (const each of Object.values(value)) withoutHidden(each);
  return value;
}

const SUSTAINED = /"Sustained": \[.*?\],\n {2}"/s;
/** Sizes of directories are each client's own. */
const sameView = (text: string): string => text.replace(/^(.* d \d+ \d+ \d+) \d+ /gm, '$1 ');

function backups(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => backupTime(name) !== undefined)
      .sort();
  } catch {
    return [];
  }
}
