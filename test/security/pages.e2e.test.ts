// The object store as the enemy: every page that was swapped, replayed, forged, cut or flipped is EIO for its reader and
// nothing else, the worker serves on, and nothing is altered. Two volumes, one table: strict (the key stays with the user)
// and lenient (key in the metadata).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { readPublicKey } from '../../src/filesystem/keys/read-key.ts';
import { sealBlob } from '../../src/filesystem/page/seal.ts';
import { makeKey, publicHalf, type TestKey } from '../harness/keys.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { AttackedVolume, errnoOf, isAlive, PAGE_BYTES, type StoredPage } from './attacked-volume.ts';

const PASSPHRASE = 'the passphrase';
/** K of RSA-2048: 2 + 1 + 256 + 12 before the ciphertext, 16 after it. */
const HEADER = 271;
const OBJECT = HEADER + PAGE_BYTES + 16;

interface Scene {
  readonly volume: AttackedVolume;
  readonly page: StoredPage;
  /** The page of another file, of the same length. */
  readonly other: StoredPage;
  /** Makes an object as anyone with the public key can. */
  forge(bytes: Buffer): Buffer;
}

/** The code that log and fsck show, or 'right' when the right bytes are read. */
type Outcome =
  | 'right'
  | 'page-damaged'
  | 'page-mismatch'
  | 'page-unledgered'
  | 'object-missing'
  | 'metadata-damaged'
  | 'newer-format';

interface Attack {
  readonly what: string;
  readonly does: (scene: Scene) => void;
  readonly strict: Outcome;
  /** As for strict unless said otherwise. */
  readonly lenient?: Outcome | 'forged';
}

const cut = (length: number) => (scene: Scene) => truncateSync(scene.page.file, length);

const flip = (at: number) => (scene: Scene) => {
  const object = readFileSync(scene.page.file);
  assert.equal(object.length, OBJECT);
  object.writeUInt8(object.readUInt8(at) ^ 0x10, at);
  writeFileSync(scene.page.file, object);
};

const where = ({ sliceId, indx }: StoredPage): string => `WHERE slice_id = ${sliceId} AND indx = ${indx}`;
const row = (set: string) => (scene: Scene) => scene.volume.sql(`UPDATE pageseal_page SET ${set} ${where(scene.page)}`);
const noRow = ({ volume, page }: Scene): void => volume.sql(`DELETE FROM pageseal_page ${where(page)}`);
const FORGED = Buffer.alloc(PAGE_BYTES, 'forged');

const attacks: readonly Attack[] = [
  { what: 'nothing at all', does: () => {}, strict: 'right' },
  {
    what: 'swapped: the two objects change places',
    does: ({ page, other }) => {
      const bytes = readFileSync(page.file);
      copyFileSync(other.file, page.file);
      writeFileSync(other.file, bytes);
    },
    strict: 'page-mismatch',
  },
  { what: 'replayed: an older page put over it', does: ({ page, other }) => copyFileSync(other.file, page.file), strict: 'page-mismatch' },
  { what: 'replayed: the same bytes sealed at another time', does: ({ page, forge }) => writeFileSync(page.file, forge(plainOf.get(page.file) ?? Buffer.alloc(0))), strict: 'page-mismatch' },
  { what: 'forged with the public key alone', does: ({ page, forge }) => writeFileSync(page.file, forge(FORGED)), strict: 'page-mismatch' },
  { what: 'clear text in its place', does: ({ page }) => writeFileSync(page.file, FORGED), strict: 'page-damaged' },
  { what: 'the ledger row is gone', does: noRow, strict: 'page-unledgered', lenient: 'right' },
  {
    what: 'forged, and the ledger row is gone',
    does: (scene) => {
      noRow(scene);
      writeFileSync(scene.page.file, scene.forge(FORGED));
    },
    strict: 'page-unledgered',
    // What lenient means, and why docs/SECURITY.md advises against it: without a row nothing tells pages apart.
    lenient: 'forged',
  },
  {
    what: 'swapped together with its ledger row',
    does: ({ volume, page, other }) => {
      copyFileSync(other.file, page.file);
      const [theirs] = volume.rows(`SELECT hex(tag) AS tag, hex(page_key) AS page_key FROM pageseal_page ${where(other)}`);
      volume.sql(`UPDATE pageseal_page SET tag = x'${theirs?.['tag']}', page_key = x'${theirs?.['page_key']}' ${where(page)}`);
    },
    strict: 'metadata-damaged',
  },
  { what: 'the tag in the row is another', does: row("tag = x'00112233445566778899aabbccddeeff'"), strict: 'page-mismatch' },
  { what: 'the tag in the row is cut', does: row("tag = x'0011'"), strict: 'page-mismatch' },
  { what: 'the key in the row is cut', does: row("page_key = x'0100'"), strict: 'metadata-damaged' },
  { what: 'the key in the row is altered', does: row("page_key = CAST(x'01' || zeroblob(60) AS BLOB)"), strict: 'metadata-damaged' },
  { what: 'the row is of a later epoch', does: row("page_key = CAST(x'02' || substr(page_key, 2) AS BLOB)"), strict: 'newer-format' },
  { what: 'cut to nothing', does: cut(0), strict: 'page-damaged' },
  { what: 'cut inside the lengths', does: cut(2), strict: 'page-damaged' },
  { what: 'cut inside the header', does: cut(100), strict: 'page-damaged' },
  { what: 'cut after the header', does: cut(HEADER), strict: 'page-damaged' },
  { what: 'cut inside the ciphertext', does: cut(40_000), strict: 'page-damaged' },
  { what: 'the last byte cut off', does: cut(OBJECT - 1), strict: 'page-damaged' },
  { what: 'a byte added', does: ({ page }) => appendFileSync(page.file, 'x'), strict: 'page-damaged' },
  { what: 'a bit of the length of K', does: flip(0), strict: 'page-damaged' },
  { what: 'a bit of the length of the nonce', does: flip(2), strict: 'page-damaged' },
  // K is not looked at where there is a row, so what lies there makes no difference.
  { what: 'a bit of K', does: flip(100), strict: 'right' },
  {
    what: 'a bit of K, and the ledger row is gone',
    does: (scene) => {
      noRow(scene);
      flip(100)(scene);
    },
    strict: 'page-unledgered',
    lenient: 'page-damaged',
  },
  { what: 'a bit of the nonce', does: flip(HEADER - 1), strict: 'page-damaged' },
  { what: 'a bit of the ciphertext', does: flip(HEADER + 30_000), strict: 'page-damaged' },
  { what: 'a bit of the tag', does: flip(OBJECT - 1), strict: 'page-damaged' },
  { what: 'the object is missing', does: ({ page }) => rmSync(page.file), strict: 'object-missing' },
  {
    what: 'a folder in its place',
    does: ({ page }) => {
      rmSync(page.file);
      mkdirSync(page.file);
    },
    strict: 'object-missing',
  },
]; // biome-ignore format: a table

const reasons: Readonly<Record<Exclude<Outcome, 'right'>, RegExp>> = {
  'page-damaged': /does not open|do not fit its tag|wanted a wrapped key of 256 bytes|wanted at least 287 bytes, found|wanted an object of at most 65823 bytes|not wrapped with this key, or damaged/,
  'page-mismatch': /a sealed page, but not the one in the page ledger: swapped, replayed or forged/,
  'page-unledgered': /no row in the page ledger, which is strict/,
  'object-missing': /not in the store/,
  'metadata-damaged': /ledger row of page \d+\/0: (altered, or not of this page of 65536 bytes|wanted 61 bytes, found 2)/,
  'newer-format': /ledger row of page \d+\/0: wanted epoch 1, found 2/,
}; // biome-ignore format: long expressions

/** What each page object held before. */
const plainOf = new Map<string, Buffer>();
const fileOf = (attack: number): string => `file-${attack}`;
const otherOf = (attack: number): string => `other-${attack}`;

for (const mode of ['strict', 'lenient'] as const)
  describe(`attacks on the pages of a ${mode} volume`, needs('root', 'fuse', 'openssl', 'the addon'), () => {
    const temp = makeTemp();
    const plain = new Map<string, Buffer>();
    let volume: AttackedVolume;
    let worker: number;
    let key: TestKey;
    let damaged: ReturnType<AttackedVolume['contents']>;

    before(async () => {
      key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
      volume = new AttackedVolume(temp, mode, key, mode === 'strict' ? '--rsa-key' : '--encrypt-rsa-key');
      await volume.format();
      await volume.mount();
      const names = attacks.flatMap((_, at) => [otherOf(at), fileOf(at)]);
      for (const name of [...names, 'good']) {
        const bytes = randomBytes(name === 'good' ? 5 * PAGE_BYTES + 17 : PAGE_BYTES);
        plain.set(name, bytes);
        writeFileSync(volume.path(name), bytes);
      }
      await volume.umount();
      const publicKey = readPublicKey(readFileSync(await publicHalf(temp, key)));
      const forge = (bytes: Buffer): Buffer => sealBlob('aes256gcm-rsa', publicKey, bytes);
      attacks.forEach(({ does }, at) => {
        const [page, other] = [volume.page(fileOf(at)), volume.page(otherOf(at))];
        plainOf.set(page.file, plain.get(fileOf(at)) ?? Buffer.alloc(0));
        does({ volume, page, other, forge });
      });
      damaged = volume.contents();
      await volume.mount();
      worker = await volume.worker();
    });

    attacks.forEach(({ what, strict, lenient }, at) => {
      const outcome = (mode === 'lenient' && lenient) || strict;
      test(`${what}: ${outcome}`, () => {
        const read = errnoOf(() => readFileSync(volume.path(fileOf(at))));
        const said = linesAbout(volume.log(), volume.page(fileOf(at)));
        if (outcome === 'right' || outcome === 'forged') {
          const wanted = outcome === 'right' ? plain.get(fileOf(at)) : FORGED;
          assert(Buffer.isBuffer(read) && wanted?.equals(read), `read ${String(read).slice(0, 20)}`);
          assert.deepEqual(said, []);
          return;
        }
        assert.equal(Buffer.isBuffer(read) ? `${read.length} bytes` : read, 'EIO');
        const refused = said.find((line) => line['message'] === 'page refused');
        assert.equal(refused?.['code'], outcome, JSON.stringify(said));
        assert.match(refused?.['reason'] ?? '', reasons[outcome]);
      });
    });

    test('fsck --deep names each of them, with its reason', async () => {
      const { code, stdout } = await volume.pageseal.run(['fsck', '--deep', volume.metaUrl, ...volume.keyFlags]);
      assert.equal(code, 1);
      assert.match(
        stdout,
        mode === 'strict' ? /^3 of \d+ pages have no ledger row/m : /^note: 3 of \d+ pages have no/m,
      );
      attacks.forEach(({ what, strict, lenient }, at) => {
        const outcome = (mode === 'lenient' && lenient) || strict;
        const name = volume.page(fileOf(at)).file.slice(volume.bucket.length);
        const lines = stdout.split('\n').filter((line) => line.includes(`${name}:`));
        if (outcome === 'right' || outcome === 'forged') assert.deepEqual(lines, [], what);
        else assert.match(lines.join('\n'), reasons[outcome], what);
      });
    });

    test('the same worker serves on, other files are whole, and nothing was altered', async () => {
      assert.deepEqual(readFileSync(volume.path('good')), plain.get('good'));
      assert.deepEqual(volume.contents(), damaged);
      writeFileSync(volume.path('new'), 'written afterwards');
      assert.equal(readFileSync(volume.path('new'), 'utf8'), 'written afterwards');
      assert(isAlive(worker));
      assert.equal(await volume.worker(), worker);
      await volume.umount();
    });
  });

/** The lines of a worker's log that name the page's object. */
function linesAbout(log: string, page: StoredPage): Record<string, string>[] {
  const name = page.file.slice(page.file.indexOf('/vol/') + 1);
  return log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.includes(`${name}"`))
    .map((line) => JSON.parse(line) as Record<string, string>);
}
