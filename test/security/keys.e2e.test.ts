// Keys and passphrases that do not open a volume: each has its own error, nothing is mounted, nothing is altered.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { makeKey, publicHalf, type TestKey } from '../harness/keys.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { AttackedVolume } from './attacked-volume.ts';
import { mustRefuse, type Refusal } from './refused-mount.ts';

const PASSPHRASE = 'the passphrase';
const WRONG: Refusal = { exitCode: 3, says: /read a private key: wrong passphrase or damaged key$/m };
const NO_PASSPHRASE: Refusal = {
  exitCode: 3,
  says: /it is sealed and no passphrase was given/,
  hint: /JFS_RSA_PASSPHRASE|--passphrase-file/,
};
const damaged = (says: RegExp): Refusal => ({ exitCode: 3, says });

describe('keys that do not open the volume', needs('root', 'fuse', 'openssl', 'the addon'), () => {
  const temp = makeTemp();
  let own: AttackedVolume;
  let inMetadata: AttackedVolume;
  let key: TestKey;

  before(async () => {
    key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    own = new AttackedVolume(temp, 'own', key, '--rsa-key');
    inMetadata = new AttackedVolume(temp, 'in-metadata', key, '--encrypt-rsa-key');
    await Promise.all([own.format(), inMetadata.format()]);
  });

  /** With a PEM file; '' for none. */
  const refuse = (pem: string, refusal: Refusal, passphrase: string | undefined = PASSPHRASE): Promise<void> =>
    mustRefuse(
      temp,
      {
        metaUrl: own.metaUrl,
        flags: pem === '' ? [] : ['--rsa-key', pem],
        passphrase,
        untouched: [own.database, `${own.database}-wal`, `${own.bucket}vol/juicefs_uuid`],
      },
      refusal,
    );

  let files = 0;
  const pemFile = (text: string | Buffer): string => {
    const file = temp.at(`made-${++files}.pem`);
    writeFileSync(file, text);
    return file;
  };
  const pem = (): string => readFileSync(key.file, 'utf8');
  /** Replaces one base64 character at a share of the body. */
  const flipped = (text: string, share: number): string => {
    const body = text.indexOf('-----\n') + 6;
    let at = body + Math.floor((text.lastIndexOf('\n-----END') - body) * share);
    if (text[at] === '\n') at++;
    return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
  };

  test('wrong passphrase', () => refuse(key.file, WRONG, 'another'));
  test('wrong passphrase: the right one with a space', () => refuse(key.file, WRONG, `${PASSPHRASE} `));
  test('wrong passphrase out of a file', async () => {
    const file = pemFile('another\n');
    await mustRefuse(
      temp,
      { metaUrl: own.metaUrl, flags: ['--rsa-key', key.file, '--passphrase-file', file], untouched: [own.database] },
      WRONG,
    );
  });
  test('no passphrase', async () => {
    await mustRefuse(
      temp,
      { metaUrl: own.metaUrl, flags: ['--rsa-key', key.file], untouched: [own.database] },
      NO_PASSPHRASE,
    );
  });
  test('a passphrase of 2000 bytes', () =>
    refuse(key.file, { exitCode: 2, says: /passphrase longer than 1024 bytes/ }, 'x'.repeat(2000)));

  test('the good key of another volume: wanted and found are named', async () => {
    const other = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const [row] = own.rows("SELECT hex(value) AS value FROM pageseal_setting WHERE name = 'key-check'");
    const wanted = String(row?.['value']).slice(0, 16).toLowerCase();
    await refuse(other.file, damaged(new RegExp(`open file system vol: wanted key ${wanted}, found [0-9a-f]{16}$`, 'm')));
  });
  test('no key', () =>
    refuse('', { exitCode: 3, says: /open file system vol: (it is encrypted, and no key was given|its key is not in the metadata)/, hint: /give the private key \(--rsa-key\)/ }));
  test('no key and no passphrase', async () => {
    const attempt = { metaUrl: own.metaUrl, flags: [], untouched: [own.database] };
    const says = /open file system vol: it is encrypted, and no key was given$/m;
    await mustRefuse(temp, attempt, { exitCode: 3, says, hint: /give the private key \(--rsa-key\)/ });
  });
  test('key in the metadata, no passphrase', () =>
    mustRefuse(temp, { metaUrl: inMetadata.metaUrl, flags: [], untouched: [inMetadata.database] }, NO_PASSPHRASE));
  test('key in the metadata, wrong passphrase', () =>
    mustRefuse(
      temp,
      { metaUrl: inMetadata.metaUrl, flags: [], passphrase: 'another', untouched: [inMetadata.database] },
      WRONG,
    ));

  for (const share of [0.3, 0.6])
    test(`damaged: a character of the sealed key changed, at ${share * 100} %`, () =>
      refuse(pemFile(flipped(pem(), share)), damaged(/wrong passphrase or damaged key|are no key|its numbers do not fit/)));
  for (const share of [0.1, 0.3, 0.5, 0.7, 0.8, 0.9])
    test(`damaged: a character of a key in clear changed, at ${share * 100} %`, async () => {
      const clear = await runOk('openssl', ['rsa', '-in', key.file, '-passin', `pass:${PASSPHRASE}`]);
      await refuse(pemFile(flipped(clear, share)), damaged(/holds no RSA private key|its numbers do not fit together|wanted key \w+, found/));
    });
  test('damaged: cut off', () =>
    refuse(pemFile(pem().slice(0, 700)), damaged(/PEM block ENCRYPTED PRIVATE KEY has no end \(is the file cut off\?\)/)));
  test('damaged: lines missing', () =>
    refuse(
      pemFile(pem().split('\n').filter((_, at) => at < 4 || at > 9).join('\n')),
      damaged(/are no key|wrong passphrase or damaged key/),
    ));
  test('damaged: not base64', () =>
    refuse(pemFile(pem().replace(/\n[^\n]{20}/, '\n####################')), damaged(/is not base64/)));
  test('garbage', () => refuse(pemFile(Buffer.from('\u0000\u0001 no key at all')), damaged(/no PEM block found/)));
  test('an empty file', () => refuse(pemFile(''), damaged(/no PEM block found/)));
  test('a large file', () => refuse(pemFile('x'.repeat(1 << 20)), damaged(/wanted a PEM file of at most 65536 bytes, found 1048576/)));
  test('no such file', () => refuse(temp.at('nowhere.pem'), { exitCode: 2, says: /reading the RSA key failed: ENOENT/ }));
  test('a folder', () => {
    mkdirSync(temp.at('folder.pem'));
    return refuse(temp.at('folder.pem'), { exitCode: 2, says: /reading the RSA key failed: EISDIR/ });
  });
  test('the public key instead of the private one', async () =>
    refuse(await publicHalf(temp, key), damaged(/read a private key: found a public key/)));
  test('an EC key', async () => {
    const file = temp.at('ec.pem');
    await runOk('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file]);
    await refuse(file, damaged(/wanted an RSA key, found ec/));
  });
  test('a sealed EC key', async () => {
    const file = temp.at('sealed-ec.pem');
    const seal = ['-aes-256-cbc', '-pass', `pass:${PASSPHRASE}`];
    await runOk('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', ...seal, '-out', file]);
    await refuse(file, damaged(/wanted an RSA key, found ec|wrong passphrase or damaged key/));
  });
  test('a key that is too short', async () => {
    const file = temp.at('short.pem');
    await runOk('openssl', ['genrsa', '-out', file, '512']);
    await refuse(file, damaged(/wanted RSA of 1024 to 16384 bits, found 512|holds no RSA private key/));
  });
  test('sealed with single DES: refused with the command that converts it', async () => {
    const traditional = await makeKey(temp, 2048, 'traditional', PASSPHRASE);
    const text = readFileSync(traditional.file, 'utf8').replace(/^DEK-Info: .*$/m, 'DEK-Info: DES-CBC,0011223344556677');
    await refuse(pemFile(text), {
      exitCode: 8,
      says: /sealed with single DES$/m,
      hint: /convert the key: openssl rsa -provider legacy -provider default -in OLD\.pem -aes256 -out NEW\.pem/,
    });
  });

  test('afterwards the right key opens it', async () => {
    await own.mount();
    writeFileSync(own.path('file'), 'x');
    assert.equal(readFileSync(own.path('file'), 'utf8'), 'x');
    await own.umount();
  });
}); // biome-ignore format: a table
