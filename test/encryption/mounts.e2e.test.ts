// Real mounts of both clients against a conversion: whoever comes while it runs, and writes, blocks it or writes nothing.
// And what is not an envelope is never handed out by an encrypted file system, and named by fsck.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { beginConversion, conversionState } from '../../src/filesystem/encryption/lock.ts';
import { confirmNoSessions } from '../../src/filesystem/encryption/sessions.ts';
import { abandon } from '../../src/filesystem/encryption/switch.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { rows } from '../harness/place.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { Convertible, NAME, OWNER, pemOf } from './fixture.ts';

const CLEAR = 'written in clear ';
/** Of both clients' mounts here: five of them are a session's life. */
const HEARTBEAT_MS = 1000;
/** About what a mount of either client takes to come up. */
const MOUNT_MS = 1500;

interface Client {
  mount(mountPoint: string): Promise<unknown>;
  umount(mountPoint: string): Promise<unknown>;
}

function clientsOf(temp: Temp, metaUrl: string): Readonly<Record<'pageseal' | 'juicefs', Client>> {
  const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
  return {
    pageseal: {
      mount: (at) => pageseal.mount(metaUrl, at, ['--heartbeat', `${HEARTBEAT_MS / 1000}s`]),
      umount: (at) => pageseal.run(['umount', at]),
    },
    juicefs: {
      mount: (at) => juicefs.mount(metaUrl, at, ['--heartbeat', String(HEARTBEAT_MS / 1000)]),
      umount: (at) => juicefs.run(['umount', at]),
    },
  };
}

const isMounted = (mountPoint: string): boolean =>
  readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${mountPoint} `);

/** Whether the write was acknowledged, on the volume and not on the folder below it. */
async function writeThrough(mountPoint: string): Promise<boolean> {
  if (!isMounted(mountPoint)) return false;
  try {
    const file = await open(join(mountPoint, 'file'), 'w');
    try {
      await file.write(CLEAR.repeat(1000));
      await file.sync();
    } finally {
      await file.close();
    }
    return isMounted(mountPoint);
  } catch {
    return false;
  }
}

async function convert(volume: Convertible, pem: Buffer): Promise<'encrypted' | 'blocked' | 'refused'> {
  if ((await beginConversion(volume.at, OWNER)).kind === 'blocked') return 'refused';
  const confirmed = await confirmNoSessions(volume.at, { leastMs: 5 * HEARTBEAT_MS });
  const switched = confirmed.kind === 'confirmed' ? await volume.switchOn({ kind: 'self-managed', pem }) : confirmed;
  if (switched.kind === 'encrypted') return 'encrypted';
  await abandon(volume.at, OWNER);
  return 'blocked';
}

const inClear = ({ place }: Convertible): string[] =>
  readdirSync(place.objects, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => readFileSync(path).includes(CLEAR));

suite('mounts and a conversion', { ...needs(...interopNeeds), concurrency: 2 }, () => {
  for (const name of ['pageseal', 'juicefs'] as const)
    test(`a mount of ${name} comes while it runs`, async (t) => {
      const temp = makeTemp(t);
      const pem = pemOf((await makeKey(temp, 2048, 'pkcs8')).file);
      const seen = new Map<string, number>();
      for (let round = 0; round < sizes.mountRaces; round++) {
        const volume = await Convertible.make(temp, { trashDays: 0 }, `${name}-${round}`);
        const client = clientsOf(temp, volume.place.metaUrl)[name];
        const mountPoint = temp.at(`mount-${name}-${round}`);
        const come = async (): Promise<boolean> => {
          await client.mount(mountPoint).catch(() => undefined);
          const wrote = await writeThrough(mountPoint);
          await client.umount(mountPoint);
          return wrote;
        };
        const after = (round / sizes.mountRaces) * MOUNT_MS;
        const [wrote, outcome] = await Promise.all([come(), sleep(after).then(() => convert(volume, pem))]);
        const names = (await rows(volume.place, 'SELECT inode FROM jfs_edge')).length;
        const state = await conversionState(volume.at);
        const at = `round ${round}: ${outcome}, ${wrote ? 'written' : 'not written'}`;
        assert.ok(state.kind === 'at-rest', at);
        assert.equal(state.custody, outcome === 'encrypted' ? 'self-managed' : 'unencrypted', at);
        if (outcome === 'encrypted') assert.deepEqual([names, inClear(volume), wrote], [0, [], false], at);
        if (wrote) assert.equal(names, 1, at);
        const key = `${outcome}, ${wrote ? 'written' : 'not written'}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
      }
      t.diagnostic([...seen].map(([key, count]) => `${key}: ${count}`).join('; '));
    });

  test('a live mount of ours is named, by the command too', async (t) => {
    const temp = makeTemp(t);
    const volume = await Convertible.make(temp);
    const { metaUrl } = volume.place;
    const pageseal = new Pageseal(temp);
    const key = await makeKey(temp, 2048, 'pkcs8');
    const mountPoint = temp.at('mount');
    const before = await volume.record();
    await pageseal.mount(metaUrl, mountPoint);
    for (const more of [[], ['--wipe', await volume.uuid(), '--yes']]) {
      const refused = await pageseal.run(['encrypt', metaUrl, '--rsa-key', key.file, ...more]);
      assert.equal(refused.code, 6);
      assert.match(refused.stderr, /LiveSession: mounted by pageseal on host \S+ \(process \d+, at \S+\/mount, /);
    }
    assert.equal(await volume.record(), before);
    await pageseal.umount(mountPoint);

    await beginConversion(volume.at, OWNER);
    for (const args of [
      ['status', metaUrl],
      ['mount', metaUrl, mountPoint],
      ['gc', metaUrl],
      ['destroy', metaUrl, await volume.uuid(), '--yes'],
    ]) {
      const { code, stderr } = await pageseal.run(args);
      assert.deepEqual([code, /a conversion is under way/.test(stderr)], [6, true], `${args[0]}: ${stderr}`);
    }
    assert.match((await pageseal.run(['encrypt', metaUrl, '--check'])).stdout, /^a conversion is under way: waiting$/m);
    assert.match(await pageseal.ok(['encrypt', metaUrl, '--abandon']), /^given up; the file system is /);
    assert.equal(await volume.record(), before);
  });

  for (const custody of ['self-managed', 'in-metadata'] as const)
    test(`what is no envelope is never read, and named by fsck (${custody})`, async (t) => {
      const temp = makeTemp(t);
      const volume = await Convertible.make(temp, { trashDays: 0 });
      const key = await makeKey(temp, 2048, 'pkcs8');
      await volume.confirm();
      assert.equal((await volume.switchOn({ kind: custody, pem: pemOf(key.file) })).kind, 'encrypted');
      // What a client leaves that missed all of it: a slice without a ledger row, its page in clear.
      const { place } = volume;
      const page = Buffer.alloc(5000, CLEAR);
      const slice = Buffer.alloc(24);
      slice.writeBigUInt64BE(900n, 4);
      slice.writeUInt32BE(page.length, 12);
      slice.writeUInt32BE(page.length, 20);
      const path = join(place.objects, NAME, 'chunks/0/0/900_0_5000');
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, page);
      const flags = custody === 'self-managed' ? ['--rsa-key', key.file] : [];
      const pageseal = new Pageseal(temp);
      const mountPoint = temp.at('mount');
      await pageseal.mount(place.metaUrl, mountPoint, flags);
      writeFileSync(join(mountPoint, 'late'), '');
      const inode = (await rows(place, 'SELECT inode FROM jfs_edge'))[0]?.['inode'] ?? 0n;
      await place.change('INSERT INTO jfs_chunk (inode, indx, slices) VALUES (?, 0, ?)', inode, slice);
      await place.change('INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (900, 5000, 1)');
      await place.change('UPDATE jfs_node SET length = 5000 WHERE inode = ?', inode);
      await pageseal.umount(mountPoint);
      await pageseal.mount(place.metaUrl, mountPoint, flags);
      await assert.rejects(readFile(join(mountPoint, 'late')), { code: 'EIO' });
      await pageseal.umount(mountPoint);
      const checked = await pageseal.run(['fsck', place.metaUrl, '--deep', ...flags]);
      assert.equal(checked.code, 1);
      assert.match(checked.stdout + checked.stderr, /900_0_5000/);
    });
});
