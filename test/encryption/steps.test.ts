// The steps of a conversion: each may be repeated, what stands locked is refused to everybody of ours, giving up leaves the
// record as it was, and what comes out is what `format` would have made.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { changeConfig } from '../../src/filesystem/change-config.ts';
import { beginConversion, conversionState } from '../../src/filesystem/encryption/lock.ts';
import { confirmNoSessions } from '../../src/filesystem/encryption/sessions.ts';
import { abandon, switchOn } from '../../src/filesystem/encryption/switch.ts';
import { wipe } from '../../src/filesystem/encryption/wipe.ts';
import type { ConversionKey } from '../../src/filesystem/encryption/words.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import { readSettingOf } from '../../src/filesystem/meta/read-setting.ts';
import type { KeySource } from '../../src/filesystem/options.ts';
import { destroyVolume } from '../../src/filesystem/removal/destroy-volume.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { createVolume, expandVolume, markDeleting } from '../../src/filesystem/volumes.ts';
import { openKeyless, openWithoutKey } from '../../src/filesystem/without-key.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { isScaled, rows } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { Convertible, NAME, OWNER, pemOf, WaitingClock } from './fixture.ts';

const busy = (thrown: unknown): boolean => hasCode(thrown, 'busy') && /a conversion is under way/.test(thrown.message);

suite('steps', needs('openssl'), () => {
  test('what is locked is refused to all of ours, by name of the conversion; giving up leaves no trace', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    const { metaUrl, store } = volume.place;
    const before = await volume.record();
    // Opened before the lock: they ask in the transaction that they depend on.
    const engine = await openEngine(metaUrl);
    await createVolume(engine, {
      id: 'v',
      request: 'r',
      directory: '/v',
      params: '',
      capacity: 0n,
      uuid: await volume.uuid(),
    });
    assert.deepEqual(await beginConversion(volume.at, OWNER), { kind: 'locked' });
    assert.deepEqual(await beginConversion(volume.at, OWNER), { kind: 'locked' });
    assert.equal(await volume.record(), before.replace('"MetaVersion": 1', '"MetaVersion": 2'));
    const [lock] = await rows(
      volume.place,
      "SELECT CAST(record AS TEXT) AS record FROM pageseal_lock WHERE name = 'conversion'",
    );
    assert.equal(lock?.['record'], before);

    const spec = { id: 'w', request: 'w', directory: '/w', params: '', capacity: 0n, uuid: await volume.uuid() };
    await assert.rejects(createVolume(engine, spec), busy);
    await assert.rejects(expandVolume(engine, 'v', 5n), busy);
    await assert.rejects(markDeleting(engine, 'v'), busy);
    await engine.close();
    await assert.rejects(readSettingOf(metaUrl), busy);
    await assert.rejects(openWithoutKey(metaUrl), busy);
    await assert.rejects(openKeyless(metaUrl), busy);
    await assert.rejects(
      volume.use(async () => undefined),
      busy,
    );
    for (const noUpdate of [true, false])
      await assert.rejects(formatVolume({ metaUrl, store, name: NAME, key: { kind: 'none' }, noUpdate }), busy);
    await assert.rejects(changeConfig({ metaUrl, change: { capacity: 9n }, confirm: async () => undefined }), busy);
    // Also when another client has put the record back.
    await volume.setRecord(before);
    await assert.rejects(
      volume.use(async () => undefined),
      busy,
    );
    const state = await conversionState(volume.at);
    assert.ok(state.kind === 'under-way');
    assert.deepEqual(
      [state.step, state.uuid, state.changed.map(({ name }) => name)],
      ['waiting', await volume.uuid(), ['MetaVersion']],
    );

    assert.deepEqual((await abandon(volume.at, OWNER))?.uuid, await volume.uuid());
    assert.equal(await abandon(volume.at, OWNER), undefined);
    assert.equal(await volume.record(), before);
    assert.deepEqual(await rows(volume.place, 'SELECT name FROM pageseal_lock'), []);
    await volume.use((files) => files.mkdir('again'));
  });

  test('a mount that slept through a conversion can write nothing any more', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    await volume.use(async (files) => {
      await volume.place.change('UPDATE jfs_session2 SET expire = 1');
      await volume.confirm();
      // As after a long pause: the session is looked at before the next write.
      t.mock.method(performance, 'now', () => 1e9);
      await assert.rejects(files.mkdir('locked'), (thrown) => hasCode(thrown, 'EIO') && busy(thrown.cause));
      t.mock.restoreAll();
      assert.equal((await volume.switchOn({ kind: 'self-managed' })).kind, 'encrypted');
      t.mock.method(performance, 'now', () => 2e9);
      await assert.rejects(files.mkdir('encrypted'), (thrown) => hasCode(thrown, 'EIO'));
      t.mock.restoreAll();
    });
    assert.deepEqual(await rows(volume.place, 'SELECT inode FROM jfs_edge'), []);
  });

  const kinds: Readonly<Record<string, (pem: Buffer, publicPem: Buffer) => ConversionKey>> = {
    'a private key': (pem) => ({ kind: 'self-managed', pem }),
    'a public key': (_, pem) => ({ kind: 'self-managed', pem }),
    'no key yet': () => ({ kind: 'self-managed' }),
    'a key in the metadata': (pem) => ({ kind: 'in-metadata', pem }),
  };
  for (const [name, keyOf] of Object.entries(kinds))
    test(`turned on with ${name}`, async (t) => {
      const own = makeTemp(t);
      const key = await makeKey(own, 2048, 'pkcs8');
      const pem = pemOf(key.file);
      const volume = await Convertible.make(own, { capacity: 1n << 40n, compression: 'lz4' });
      const [before, old] = [JSON.parse(await volume.record()), await volume.uuid()];
      assert.deepEqual(await volume.switchOn({ kind: 'self-managed' }), { kind: 'not-confirmed' });
      await volume.confirm();
      const given = keyOf(pem, pemOf(await publicHalf(own, key)));
      const switched = await volume.switchOn(given);
      const uuid = await volume.uuid();
      assert.deepEqual(switched, { kind: 'encrypted', uuid, changed: [] });
      assert.notEqual(uuid, old);
      assert.deepEqual(await volume.switchOn(given), switched);
      assert.deepEqual(await beginConversion(volume.at, OWNER), { kind: 'encrypted', custody: given.kind });

      // As format would have made it, but for what it had before.
      const { setting, ours } = await readSettingOf(volume.place.metaUrl);
      assert.equal(ours.mode, given.kind === 'self-managed' ? 'strict' : 'lenient');
      assert.deepEqual(
        [ours.custody, ours.owner, setting.metaVersion],
        [given.kind, 'user', given.kind === 'self-managed' ? 'pageseal-1' : 1],
      );
      const after = JSON.parse(await volume.record());
      for (const [field, value] of Object.entries(before))
        if (!['UUID', 'MetaVersion', 'SecretKey', 'KeyEncrypted'].includes(field))
          assert.deepEqual(after[field], value, field);
      assert.equal(existsSync(`${volume.place.objects}${NAME}/juicefs_uuid`), name !== 'no key yet');

      const source = (): KeySource => ({ kind: 'pem', pem: Buffer.from(pem) });
      const data = Buffer.alloc(70_000, 'clear text');
      await assert.rejects(
        volume.use(async () => undefined),
        (thrown) => hasCode(thrown, 'key-required'),
      );
      await volume.use((files) => files.write('file', 0, data), source());
      const [page] = await rows(volume.place, 'SELECT slice_id FROM pageseal_page');
      const stored = readFileSync(`${volume.place.objects}${NAME}/chunks/0/0/${page?.['slice_id']}_0_65536`);
      assert.equal(stored.readUInt16BE(0), 256);
      assert.ok(!stored.includes('clear text'));
      await volume.use(async (_, fileSystem) => assert.equal(fileSystem.encrypted, true), source());
      const other = pemOf((await makeKey(own, 2048, 'pkcs8')).file);
      await assert.rejects(
        volume.use(async () => undefined, { kind: 'pem', pem: other }),
        (thrown) => hasCode(thrown, 'wrong-key'),
      );
    });

  test('what another client makes of the locked record is reported, and not in the new one', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    await volume.confirm();
    // Left by a kill in the middle of putting it; only a folder's writers leave such files.
    if (!isScaled) writeFileSync(`${volume.place.objects}${NAME}/.jfs.juicefs_uuid.tmp.1`, 'a UUID');
    const locked = await volume.record();
    await volume.setRecord(locked.replace('"TrashDays": 1', '"TrashDays": 9'));
    const switched = await volume.switchOn({ kind: 'self-managed' });
    assert.ok(switched.kind === 'encrypted');
    assert.deepEqual(switched.changed, [{ name: 'TrashDays', from: 1, to: 9 }]);
    assert.equal(JSON.parse(await volume.record()).TrashDays, 1);
  });

  test('a record that was put back into use has the wait begin again', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    const before = await volume.record();
    await volume.confirm();
    const locked = await volume.record();
    await volume.setRecord(before);
    const switched = await volume.switchOn({ kind: 'self-managed' });
    assert.ok(switched.kind === 'reopened');
    assert.deepEqual(
      switched.changed.map(({ name }) => name),
      ['MetaVersion'],
    );
    assert.equal(await volume.record(), locked);
    const state = await conversionState(volume.at);
    assert.equal(state.kind === 'under-way' && state.step, 'waiting');
    assert.deepEqual(await volume.switchOn({ kind: 'self-managed' }), { kind: 'not-confirmed' });
    await volume.confirm();
    assert.equal((await volume.switchOn({ kind: 'self-managed' })).kind, 'encrypted');
  });

  test('only the owner may', async (t) => {
    const volume = await Convertible.make(makeTemp(t), { owner: 'operator' });
    const refused = (thrown: unknown): boolean =>
      hasCode(thrown, 'refused') && /belongs to the operator/.test(thrown.message);
    await assert.rejects(beginConversion(volume.at, OWNER), refused);
    assert.deepEqual(await beginConversion(volume.at, { owner: 'operator' }), { kind: 'locked' });
    await confirmNoSessions(volume.at, { clock: new WaitingClock() });
    await assert.rejects(wipe(volume.at, { owner: 'csi', confirmUuid: await volume.uuid() }), refused);
    await assert.rejects(switchOn(volume.at, { ...OWNER, key: { kind: 'self-managed' } }), refused);
    await assert.rejects(abandon(volume.at, OWNER), refused);
    assert.equal((await switchOn(volume.at, { owner: 'operator', key: { kind: 'self-managed' } })).kind, 'encrypted');
    const state = await conversionState(volume.at);
    assert.ok(state.kind === 'at-rest');
    assert.equal(state.owner, 'operator');
    const { metaUrl } = volume.place;
    await assert.rejects(destroyVolume({ metaUrl, uuid: state.uuid, owner: 'user' }), refused);
    await destroyVolume({ metaUrl, uuid: state.uuid, owner: 'operator' });
  });
});

suite('the wait', needs(), () => {
  const session = (sid: number, expire: string): string =>
    `INSERT INTO jfs_session2 (sid, expire, info) VALUES (${sid}, ${expire}, '{"Version":"1.4.2","HostName":"h","ProcessID":7,"MountPoint":"/m"}')`;
  const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

  test('lasts a minute at least, and twice the longest heartbeat that is seen', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    await beginConversion(volume.at, OWNER);
    const clock = new WaitingClock();
    let waited = 0;
    await confirmNoSessions(volume.at, {
      clock,
      onWait: (elapsed) => {
        waited = elapsed;
      },
    });
    assert.ok(waited >= 60_000 && waited < 65_000, `${waited}`);
    await abandon(volume.at, OWNER);
    await beginConversion(volume.at, OWNER);
    // It came with the lock, with a heartbeat of 40 s, and left.
    const other = new WaitingClock();
    other.onSleep = async (now) => {
      if (now === 0) await volume.place.change(session(5, `${inSeconds(200)}`));
      if (now === 30_000) await volume.place.change('UPDATE jfs_session2 SET expire = 1');
    };
    assert.equal(
      (
        await confirmNoSessions(volume.at, {
          clock: other,
          onWait: (elapsed) => {
            waited = elapsed;
          },
        })
      ).kind,
      'confirmed',
    );
    assert.ok(waited >= 78_000, `${waited}`);
  });

  test('a session that keeps moving blocks, and one that only stands is waited for', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    await beginConversion(volume.at, OWNER);
    const clock = new WaitingClock();
    clock.onSleep = async (now) => {
      if (now === 0) await volume.place.change(session(5, `${inSeconds(60)}`));
      else await volume.place.change(`UPDATE jfs_session2 SET expire = ${inSeconds(60) + Math.floor(now / 12_000)}`);
    };
    const found = await confirmNoSessions(volume.at, { clock });
    assert.ok(found.kind === 'blocked');
    assert.match(found.reasons[0]?.text ?? '', /^mounted by juicefs on host h \(process 7, at \/m, last heard of /);
    await volume.place.change(`UPDATE jfs_session2 SET expire = ${inSeconds(50)}`);
    const standing = new WaitingClock();
    standing.onSleep = async (now) => {
      if (now > 70_000) await volume.place.change('UPDATE jfs_session2 SET expire = 1');
    };
    assert.deepEqual(await confirmNoSessions(volume.at, { clock: standing }), { kind: 'confirmed' });
  });

  test('without a lock there is nothing to wait for', async (t) => {
    const volume = await Convertible.make(makeTemp(t));
    assert.deepEqual(await confirmNoSessions(volume.at), { kind: 'not-begun' });
  });
});
