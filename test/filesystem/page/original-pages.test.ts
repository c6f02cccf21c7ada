// Every page of every volume that the original client made: read by its wrapped key, painted into files, hashed.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { openAtRest } from '../../../src/filesystem/keys/at-rest.ts';
import { readPrivateKey } from '../../../src/filesystem/keys/read-key.ts';
import type { VolumeKey } from '../../../src/filesystem/keys/volume-key.ts';
import { CHUNK_SIZE, pagesUnder } from '../../../src/filesystem/page/geometry.ts';
import type { PageStore } from '../../../src/filesystem/page/page-store.ts';
import { openBlob, parseEncryptAlgo } from '../../../src/filesystem/page/seal.ts';
import { openPageStore } from '../../../src/filesystem/page/sealed-page-store.ts';
import { openStore } from '../../../src/filesystem/store/open-store.ts';
import { makeTemp } from '../../harness/temp.ts';
import { copyVolume, readRecord, volumeNames } from '../../harness/volumes.ts';
import { collectingLog } from './collecting-log.ts';

interface Record {
  readonly Name: string;
  readonly UUID: string;
  readonly BlockSize: number;
  readonly Compression: string;
  readonly EncryptAlgo: string;
  readonly EncryptKey?: string;
  readonly HashPrefix?: boolean;
}

/** The bytes of one chunk: later records over earlier ones, zeros where there are none (spec of the format). */
async function readChunk(pages: PageStore, slices: Buffer, length: number): Promise<Buffer> {
  // Records may lie beyond the end: a truncated file keeps them.
  let end = length;
  for (let at = 0; at < slices.length; at += 24)
    end = Math.max(end, slices.readUInt32BE(at) + slices.readUInt32BE(at + 20));
  const chunk = Buffer.alloc(end);
  for (let at = 0; at < slices.length; at += 24) {
    const sliceId = slices.readBigUInt64BE(at + 4);
    const [pos = 0, size = 0, off = 0, len = 0] = [0, 12, 16, 20].map((field) => slices.readUInt32BE(at + field));
    if (sliceId === 0n) chunk.fill(0, pos, pos + len);
    let to = pos;
    for (const run of sliceId === 0n ? [] : pagesUnder(size, off, len, pages.pageSize)) {
      const page = await pages.read({ sliceId, indx: run.indx, length: run.length }, undefined);
      page.copy(chunk, to, run.from, run.from + run.bytes);
      to += run.bytes;
    }
  }
  return chunk.subarray(0, length);
}

async function hashFile(db: DatabaseSync, pages: PageStore, ino: number, size: number): Promise<string> {
  const rows = db.prepare('SELECT indx, CAST(slices AS BLOB) AS slices FROM jfs_chunk WHERE inode = ?').all(ino);
  const chunks = new Map(rows.map((row) => [Number(row['indx']), Buffer.from(row['slices'] as Uint8Array)]));
  const hash = createHash('sha256');
  for (let indx = 0; indx * CHUNK_SIZE < size; indx++) {
    const length = Math.min(CHUNK_SIZE, size - indx * CHUNK_SIZE);
    hash.update(await readChunk(pages, chunks.get(indx) ?? Buffer.alloc(0), length));
  }
  return hash.digest('hex');
}

describe('volumes of the original client', () => {
  const temp = makeTemp();
  for (const name of volumeNames) {
    test(name, async () => {
      const volume = copyVolume(temp, name);
      const record = JSON.parse(readRecord(volume.database)) as Record;
      const store = await openStore({ storage: 'file', bucket: volume.bucket });
      let key: VolumeKey | undefined;
      if (volume.keyFile !== undefined) {
        const pem = readFileSync(volume.keyFile);
        assert.deepEqual(openAtRest(record.UUID, record.EncryptKey ?? ''), pem);
        key = readPrivateKey(pem, volume.passphrase === undefined ? undefined : Buffer.from(volume.passphrase));
        const uuid = await openBlob(parseEncryptAlgo(record.EncryptAlgo), key, await store.get(`${name}/juicefs_uuid`));
        assert.equal(uuid.toString(), record.UUID);
      }
      const pages = openPageStore({
        store,
        volumeName: record.Name,
        hashPrefix: record.HashPrefix === true,
        pageSize: record.BlockSize * 1024,
        compression: record.Compression,
        encryptAlgo: record.EncryptAlgo,
        key,
        ledger: undefined,
        cacheBytes: 32 << 20,
        log: collectingLog().log,
      });
      const db = new DatabaseSync(volume.database, { readOnly: true });
      try {
        let files = 0;
        for (const [path, entry] of Object.entries(volume.manifest.entries)) {
          if (entry.type !== 'file' || entry.sha256 === undefined) continue;
          assert.equal(await hashFile(db, pages, Number(entry.ino), Number(entry.size)), entry.sha256, path);
          files++;
        }
        assert.ok(files > 0);
      } finally {
        db.close();
        await pages.close();
      }
    });
  }
});
