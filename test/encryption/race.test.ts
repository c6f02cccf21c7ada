// A client that comes while a file system is being encrypted, at every moment: what it writes blocks the encryption, or it
// writes nothing. Never is there a file, or an object in clear, in a file system that says it is encrypted.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FsError } from '../../src/base/errors.ts';
import { beginConversion, conversionState } from '../../src/filesystem/encryption/lock.ts';
import { confirmNoSessions } from '../../src/filesystem/encryption/sessions.ts';
import { abandon } from '../../src/filesystem/encryption/switch.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { createVolume } from '../../src/filesystem/volumes.ts';
import { makeKey } from '../harness/keys.ts';
import { isScaled, rows } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { Convertible, OWNER, pemOf, WaitingClock } from './fixture.ts';

/** About what a conversion takes, which comes so much before the client, up to so much after it. */
const SPAN_MS = isScaled ? 300 : 25;
const CLEAR = 'in clear ';

/** Objects with bytes of the writer in them. */
function clearObjects(volume: Convertible): string[] {
  const files = readdirSync(volume.place.objects, { recursive: true, withFileTypes: true });
  return files
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => readFileSync(path).includes(CLEAR));
}

/** What a round came to. */
type Outcome = 'encrypted' | 'blocked' | 'refused';

async function convert(volume: Convertible, pem: Buffer): Promise<Outcome> {
  if ((await beginConversion(volume.at, OWNER)).kind === 'blocked') return 'refused';
  const confirmed = await confirmNoSessions(volume.at, { clock: new WaitingClock() });
  const switched = confirmed.kind === 'confirmed' ? await volume.switchOn({ kind: 'self-managed', pem }) : confirmed;
  if (switched.kind === 'encrypted') return 'encrypted';
  await abandon(volume.at, OWNER);
  return 'blocked';
}

/** Mounts without a kernel, writes a page, ends. Whether every call was answered well. */
async function write(volume: Convertible): Promise<boolean> {
  try {
    await volume.use((files) => files.write('file', 0, Buffer.alloc(9000, CLEAR), true));
    return true;
  } catch (thrown) {
    assert.ok(thrown instanceof FsError);
    assert.ok(
      ['busy', 'EIO', 'key-required', 'newer-format'].includes(thrown.code),
      `${thrown.code}: ${thrown.message}`,
    );
    return false;
  }
}

/** For the file system that it has found before. */
async function makeVolume(volume: Convertible, uuid: string): Promise<boolean> {
  const engine = await openEngine(volume.place.metaUrl);
  try {
    await createVolume(engine, { id: 'v', request: 'r', directory: '/deep/v', params: '', capacity: 1n, uuid });
    return true;
  } catch (thrown) {
    assert.ok(thrown instanceof FsError && ['busy', 'conflict'].includes(thrown.code), String(thrown));
    return false;
  } finally {
    await engine.close();
  }
}

const writers = { 'a mount': write, 'the controller': makeVolume } as const;

for (const [who, work] of Object.entries(writers))
  test(`${who} comes while encryption is being turned on`, needs('openssl'), async (t) => {
    const temp = makeTemp(t);
    const pem = pemOf((await makeKey(temp, 2048, 'pkcs8')).file);
    const seen = new Map<string, number>();
    for (let round = 0; round < sizes.conversionRaces; round++) {
      const volume = await Convertible.make(temp, { trashDays: 0 }, `${who}-${round}`.replaceAll(' ', '-'));
      const uuid = await volume.uuid();
      const pause = (round / sizes.conversionRaces) * 2 * SPAN_MS - SPAN_MS;
      const [outcome, wrote] = await Promise.all([
        sleep(Math.max(0, -pause)).then(() => convert(volume, pem)),
        // A connection of its own, so the two meet in the database only.
        sleep(Math.max(0, pause)).then(() => work(volume, uuid)),
      ]);
      const names = (await rows(volume.place, 'SELECT inode FROM jfs_edge')).length;
      const at = `round ${round}: ${outcome}, ${wrote ? 'written' : 'not written'}`;
      const state = await conversionState(volume.at);
      assert.ok(state.kind === 'at-rest', at);
      if (outcome === 'encrypted') {
        assert.equal(state.custody, 'self-managed', at);
        assert.deepEqual([names, clearObjects(volume), wrote], [0, [], false], at);
      } else {
        assert.equal(state.custody, 'unencrypted', at);
        if (outcome === 'blocked') assert.ok(names > 0 || clearObjects(volume).length > 0 || !wrote, at);
      }
      const key = `${outcome}, ${wrote ? 'written' : 'not written'}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    t.diagnostic([...seen].map(([key, count]) => `${key}: ${count}`).join('; '));
    assert.ok(seen.size > 1, 'they never met');
  });
