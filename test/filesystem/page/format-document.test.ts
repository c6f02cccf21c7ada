// The worked example of docs/FORMAT.md, computed from its key by the document's own words and not by src/; and the code under
// test opens the same row.
import assert from 'node:assert/strict';
import { createDecipheriv, createPrivateKey, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { VolumeKey } from '../../../src/filesystem/keys/volume-key.ts';
import { Ledger } from '../../../src/filesystem/page/ledger.ts';

const at = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** The lines `name  hex`, continued on lines that begin with spaces. */
function example(): Map<string, Buffer> {
  const [, block = ''] = /### A worked example\n[^`]*(?:`[^`]+`[^`]*)*```\n([^`]*)```/.exec(at('docs/FORMAT.md')) ?? [];
  const lines = block.replace(/\n +/g, '').matchAll(/^(\S.*?) {1,16}([0-9a-f]{32,})$/gm);
  return new Map([...lines].map(([, name = '', hex = '']) => [name, Buffer.from(hex, 'hex')]));
}

const shown = example();
const value = (name: string): Buffer => shown.get(name) ?? assert.fail(`docs/FORMAT.md shows no ${name}`);
const { keyDer } = JSON.parse(at('test/vectors/pages.json')) as { keyDer: string };
const der = Buffer.from(keyDer, 'base64');
const uuid = value('UUID');

const derive = (secret: Buffer, ...info: (string | Buffer)[]): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, uuid, Buffer.concat(info.map((part) => Buffer.from(part))), 32));

function open(key: Buffer, sealed: Buffer, data: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 13));
  decipher.setAAD(data);
  decipher.setAuthTag(sealed.subarray(45));
  return Buffer.concat([decipher.update(sealed.subarray(13, 45)), decipher.final()]);
}

test('the derivation is as the document shows it', () => {
  const { p = '', q = '' } = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
  const primes = [p, q].map((text) => Buffer.from(text, 'base64url')).sort(Buffer.compare);
  assert.deepEqual(primes[1], value('larger prime'));
  assert.deepEqual(derive(value('larger prime'), 'pageseal ledger root v1'), value('root'));
  assert.deepEqual(open(value('root'), value('setting.ledger'), Buffer.concat([uuid, Buffer.of(1)])), value('L'));
  assert.deepEqual(derive(value('L'), 'page key v1', Buffer.alloc(8)), value('group key'));
  const place = Buffer.from('0000000000001000' + '00000003' + '000003e8', 'hex');
  assert.deepEqual(Buffer.concat([uuid, place, value('tag')]), value('additional data'));
  assert.deepEqual(open(value('group key'), value('page_key'), value('additional data')), value('S'));
});

test('our own code opens the row of the document', () => {
  const text = uuid.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  const ledger = Ledger.open(VolumeKey.fromDer(der), text, value('setting.ledger'));
  const row = { sliceId: 4096n, indx: 3, tag: value('tag'), pageKey: value('page_key') };
  assert.deepEqual(ledger.openPageKey({ sliceId: 4096n, indx: 3, length: 1000 }, row), value('S'));
});
