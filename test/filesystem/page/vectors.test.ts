// Objects and ledger rows made by other code, good and bad, through the page store: each opens, or fails as its class says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { LedgerEntry, LedgerMode } from '../../../src/base/words.ts';
import { VolumeKey } from '../../../src/filesystem/keys/volume-key.ts';
import { Ledger } from '../../../src/filesystem/page/ledger.ts';
import { openPageStore } from '../../../src/filesystem/page/sealed-page-store.ts';
import { MemStore } from '../../../src/filesystem/store/mem-store.ts';
import { collectingLog } from './collecting-log.ts';

interface Case {
  readonly name: string;
  readonly expect: string;
  readonly algo: string;
  readonly compression: string;
  readonly mode: LedgerMode;
  readonly place: { readonly sliceId: string; readonly indx: number; readonly length: number };
  readonly object: string;
  readonly plain: string | null;
  readonly tag: string | null;
  readonly pageKey: string | null;
}

const vectors = JSON.parse(readFileSync(new URL('../../vectors/pages.json', import.meta.url), 'utf8')) as {
  readonly uuid: string;
  readonly keyId: string;
  readonly keyDer: string;
  readonly strangerDer: string;
  readonly ledger: string;
  readonly cases: readonly Case[];
};
const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
const key = VolumeKey.fromDer(bytes(vectors.keyDer));
const ledger = Ledger.open(key, vectors.uuid, bytes(vectors.ledger));

describe('page vectors', () => {
  for (const each of vectors.cases) {
    test(`${each.name}: ${each.expect}`, async () => {
      const place = { ...each.place, sliceId: BigInt(each.place.sliceId) };
      const { sliceId, indx, length } = place;
      const objectKey = `v/chunks/${sliceId / 1000000n}/${sliceId / 1000n}/${sliceId}_${indx}_${length}`;
      const store = new MemStore(`vector-${each.name}`);
      await store.put(objectKey, [bytes(each.object)]);
      const { log, lines } = collectingLog();
      const pages = openPageStore({
        store,
        volumeName: 'v',
        hashPrefix: false,
        pageSize: 65536,
        compression: each.compression,
        encryptAlgo: each.algo,
        key,
        ledger: { keys: ledger, mode: each.mode },
        cacheBytes: 0,
        log,
      });
      const row: LedgerEntry | undefined =
        each.tag === null ? undefined : { sliceId, indx, tag: bytes(each.tag), pageKey: bytes(each.pageKey ?? '') };
      if (each.plain !== null) {
        assert.deepEqual(await pages.read(place, row), bytes(each.plain));
        assert.deepEqual(lines, []);
        return;
      }
      await assert.rejects(pages.read(place, row), { code: each.expect, message: new RegExp(objectKey) });
      assert.equal(lines.length, 1, 'one line in the log');
      assert.match(lines[0] ?? '', new RegExp(objectKey));
    });
  }
});

test('the key id is the SHA-256 of the SPKI', () => assert.equal(key.id, vectors.keyId));

test('the ledger opens with its own key, for its own volume, and whole', () => {
  const blob = bytes(vectors.ledger);
  const open = (uuid: string, changed: Buffer, by = key) => Ledger.open(by, uuid, changed);
  const flipped = Buffer.from(blob);
  flipped[20] = (flipped[20] ?? 0) ^ 1;
  const epoch = Buffer.from(blob);
  epoch[0] = 2;
  assert.throws(() => open(vectors.uuid, blob, VolumeKey.fromDer(bytes(vectors.strangerDer))), { code: 'wrong-key' });
  assert.throws(() => open('6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d12', blob), { code: 'wrong-key' });
  assert.throws(() => open(vectors.uuid, flipped), { code: 'wrong-key' });
  assert.throws(() => open(vectors.uuid, epoch), { code: 'wrong-key' });
  assert.throws(() => open(vectors.uuid, blob.subarray(1)), { code: 'metadata-damaged' });
  assert.throws(() => open('not a uuid', blob), { code: 'metadata-damaged' });
});

test('a new key takes the ledger over: rows sealed before still open', () => {
  const stranger = VolumeKey.fromDer(bytes(vectors.strangerDer));
  const moved = Ledger.open(stranger, vectors.uuid, ledger.blob(stranger));
  const place = { sliceId: 77n, indx: 1, length: 500 };
  const tag = Buffer.alloc(16, 1);
  const pageKey = Buffer.alloc(32, 2);
  const row = { sliceId: 77n, indx: 1, tag, pageKey: ledger.sealPageKey(place, tag, pageKey) };
  assert.deepEqual(moved.openPageKey(place, row), pageKey);
  assert.throws(() => moved.openPageKey({ ...place, length: 501 }, row), { code: 'metadata-damaged' });
});
