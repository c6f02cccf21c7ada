// The original client against a conversion: its live mount blocks one, one that slips in under the lock leaves, none of its
// commands writes a byte in clear, and where the key is in the metadata it reads what we wrote.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { beginConversion, conversionState } from '../../src/filesystem/encryption/lock.ts';
import { confirmNoSessions } from '../../src/filesystem/encryption/sessions.ts';
import { abandon } from '../../src/filesystem/encryption/switch.ts';
import { turnOn } from '../../src/filesystem/encryption/turn-on.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place, rows } from '../harness/place.ts';
import { until } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { OWNER, pemOf } from './fixture.ts';

const CLEAR = 'written in clear ';
/** Both clients' sessions end after five of them; a conversion waits for two at least. */
const HEARTBEAT_S = 1;
const PACE = ['--heartbeat', String(HEARTBEAT_S)];
const waiting = { leastMs: 5 * HEARTBEAT_S * 1000 };

interface Bench {
  readonly temp: Temp;
  readonly place: Place;
  readonly juicefs: Juicefs;
  readonly pageseal: Pageseal;
  readonly mountPoint: string;
}

async function bench(t: Parameters<typeof makeTemp>[0], passphrase?: string): Promise<Bench> {
  const temp = makeTemp(t);
  const place = await newPlace(temp);
  const juicefs = new Juicefs(temp, passphrase);
  await juicefs.formatAt(place, 'shared', ['--trash-days', '0', '--block-size', '64K']);
  return { temp, place, juicefs, pageseal: new Pageseal(temp, passphrase), mountPoint: temp.at('mount') };
}

const sessionsOf = async (place: Place): Promise<bigint[]> =>
  (await rows(place, 'SELECT sid FROM jfs_session2')).map(({ sid = 0n }) => sid);

const recordOf = async (place: Place): Promise<string> =>
  String(
    (await rows(place, "SELECT CAST(value AS TEXT) AS value FROM jfs_setting WHERE name = 'format'"))[0]?.['value'],
  );

function objectsOf(place: Place): string[] {
  const found = readdirSync(place.objects, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

const inClear = (place: Place): string[] => objectsOf(place).filter((path) => readFileSync(path).includes(CLEAR));

/** As if the client had not been heard of; its next heartbeat puts it right, unless it comes too late. */
async function lockUnder(place: Place): Promise<void> {
  await until('the lock to be taken between two heartbeats', async () => {
    await place.change('UPDATE jfs_session2 SET expire = 1');
    return (await beginConversion({ metaUrl: place.metaUrl }, OWNER)).kind === 'locked';
  });
}

/** Locked under the client, which writes before it has seen that. Where its heartbeat comes first it leaves: then again. */
async function writtenUnderLock({ place, juicefs, mountPoint }: Bench): Promise<void> {
  const late = join(mountPoint, 'late');
  await until('the client to write between the lock and its next heartbeat', async () => {
    await lockUnder(place);
    try {
      writeFileSync(late, CLEAR);
    } catch {
      // It was leaving.
    }
    if (inClear(place).length > 0) return true;
    await abandon({ metaUrl: place.metaUrl }, OWNER);
    spawnSync('umount', ['-l', '--no-canonicalize', mountPoint]);
    rmSync(late, { force: true }); // on the disk, if it had left before
    await juicefs.mount(place.metaUrl, mountPoint, PACE);
    rmSync(late, { force: true });
    return false;
  });
}

suite('the original client and a conversion', { ...needs(...interopNeeds), concurrency: 2 }, () => {
  test('its mount blocks one; one that slips in leaves, and what it wrote blocks', async (t) => {
    const it = await bench(t);
    const { place, juicefs, mountPoint, pageseal } = it;
    const { metaUrl } = place;
    const before = await recordOf(place);
    await juicefs.mount(metaUrl, mountPoint, PACE);
    const begun = await beginConversion({ metaUrl }, OWNER);
    assert.ok(begun.kind === 'blocked');
    assert.match(
      begun.reasons[0]?.text ?? '',
      /^mounted by juicefs on host \S+ \(process \d+, at \S+\/mount, last heard of /,
    );
    const told = await pageseal.run(['encrypt', metaUrl, '--check']);
    assert.deepEqual([told.code, /LiveSession: mounted by juicefs on host/.test(told.stdout)], [6, true], told.stdout);
    assert.equal(await recordOf(place), before);

    // To be found when it is gone.
    await writtenUnderLock(it);
    assert.deepEqual(await confirmNoSessions({ metaUrl }, waiting), { kind: 'confirmed' });
    assert.throws(() => {
      writeFileSync(join(mountPoint, 'later'), CLEAR);
      // A folder on the disk by then, where nothing of the volume is: its root is inode 1.
      if (statSync(mountPoint).ino !== 1) throw new Error('not mounted');
    });
    const key = { kind: 'self-managed' } as const;
    await assert.rejects(turnOn({ metaUrl }, { ...OWNER, key, waiting }), /LiveFile: 1 files/);
    assert.equal(await recordOf(place), before);
    assert.equal((await rows(place, 'SELECT inode FROM jfs_edge')).length, 1);
  });

  test('its commands refuse a locked record and a self-managed one, and nothing is written in clear', async (t) => {
    const { temp, place, juicefs, mountPoint } = await bench(t);
    const { metaUrl } = place;
    const source = temp.folder('source');
    writeFileSync(join(source, 'file'), CLEAR);
    const mount = ['mount', '-d', metaUrl, mountPoint, '--no-usage-report', '--backup-meta', '0', '--heartbeat', '1'];
    const commands: readonly (readonly string[])[] = [
      ['config', metaUrl, '--trash-days', '3', '--yes'],
      ['format', metaUrl, 'shared', ...place.storeFlags],
      [...mount, '--cache-dir', temp.at('cache'), '--log', temp.at('mount.log')],
      ['sync', `${source}/`, 'jfs://vol/'],
      ['fsck', metaUrl],
      ['gc', metaUrl, '--delete'],
      ['status', metaUrl],
    ];
    /** `rewriting`: what does not look at the version before it writes the record, and touches nothing else. */
    const tryAll = async (rewriting: readonly string[]): Promise<void> => {
      const done: string[] = [];
      for (const command of commands)
        if ((await new Juicefs(temp, undefined, { vol: metaUrl }).run(command)).code === 0) done.push(command[0] ?? '');
      assert.deepEqual(done, [...rewriting]);
      assert.deepEqual([inClear(place), await sessionsOf(place)], [[], []]);
      assert.deepEqual(await rows(place, 'SELECT inode FROM jfs_edge'), []);
    };
    await beginConversion({ metaUrl }, OWNER);
    const locked = await recordOf(place);
    await tryAll(['config', 'format']);
    const state = await conversionState({ metaUrl });
    assert.ok(state.kind === 'under-way');
    // Its config writes before it looks: said, and not taken over.
    const changed = state.changed.map(({ name }) => name);
    assert.ok(
      changed.every((name) => ['TrashDays', 'AccessKey', 'SecretKey', 'KeyEncrypted'].includes(name)),
      `${changed}`,
    );
    t.diagnostic(`left in the locked record by its config and format: ${changed.join(', ') || 'nothing'}`);
    assert.match(await recordOf(place), /"MetaVersion": 2/);

    const pem = pemOf((await makeKey(temp, 2048, 'pkcs8')).file);
    const done = await turnOn({ metaUrl }, { ...OWNER, key: { kind: 'self-managed', pem }, waiting });
    assert.deepEqual(done.changed, state.changed);
    const switched = await recordOf(place);
    assert.equal(JSON.parse(switched).TrashDays, JSON.parse(locked).TrashDays);
    await tryAll([]);
    assert.equal(await recordOf(place), switched);
    await juicefs.run(['umount', mountPoint]);
  });

  test('a volume that it filled is wiped, encrypted with the key in the metadata, and read by both', async (t) => {
    const passphrase = 'conversion passphrase';
    const { temp, place, juicefs, pageseal, mountPoint } = await bench(t, passphrase);
    const { metaUrl } = place;
    await juicefs.mount(metaUrl, mountPoint);
    for (let i = 0; i < 20; i++) writeFileSync(join(mountPoint, `old-${i}`), CLEAR.repeat(10_000));
    await juicefs.umount(mountPoint);
    assert.ok(inClear(place).length > 20);
    const { UUID: uuid } = JSON.parse(await recordOf(place)) as { UUID: string };
    const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
    const secret = { pem: pemOf(key.file), passphrase: Buffer.from(passphrase) };
    const at = { metaUrl };
    await assert.rejects(
      turnOn(at, { ...OWNER, key: { kind: 'in-metadata', ...secret }, waiting }),
      /LiveFile: 20 files/,
    );
    const done = await turnOn(at, { ...OWNER, key: { kind: 'in-metadata', ...secret }, wipeUuid: uuid, waiting });
    assert.ok((done.objectsRemoved ?? 0) > 20);
    assert.deepEqual([inClear(place), objectsOf(place).length], [[], 1]);

    await pageseal.mount(metaUrl, mountPoint);
    writeFileSync(join(mountPoint, 'ours'), CLEAR.repeat(50_000));
    await pageseal.umount(mountPoint);
    await juicefs.mount(metaUrl, mountPoint);
    assert.equal(readFileSync(join(mountPoint, 'ours'), 'utf8'), CLEAR.repeat(50_000));
    writeFileSync(join(mountPoint, 'theirs'), CLEAR.repeat(30_000));
    await juicefs.umount(mountPoint);
    await pageseal.mount(metaUrl, mountPoint);
    assert.equal(readFileSync(join(mountPoint, 'theirs'), 'utf8'), CLEAR.repeat(30_000));
    assert.deepEqual(readdirSync(mountPoint).sort(), ['ours', 'theirs']);
    await pageseal.umount(mountPoint);
    assert.deepEqual(inClear(place), []);
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
    assert.match(await juicefs.gc(metaUrl), / 0 leaked/);
    await pageseal.ok(['fsck', metaUrl, '--deep']);
    assert.equal(await abandon(at, OWNER), undefined);
  });
});
