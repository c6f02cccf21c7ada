// PEM files to keys, as users have them: PKCS#1, PKCS#8, both sealed or in clear, and public keys.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { FsError, fail } from '../../base/errors.ts';
import { type Pem, readPem } from './pem.ts';
import { PublicKey, safeCause, VolumeKey } from './volume-key.ts';

/** OpenSSL's buffer for passphrases. */
const MAX_PASSPHRASE_BYTES = 1024;

/** Whether the file is a public key; format takes either. Throws damaged-key. */
export function isPublicPem(file: Buffer): boolean {
  const { kind } = readPem(file);
  return kind === 'spki' || kind === 'pkcs1-public';
}

/** Whether the file needs a passphrase: what a command asks before it prompts. Throws damaged-key, unsupported. */
export function isSealedPem(file: Buffer): boolean {
  return isSealed(readPem(file));
}

const isSealed = (pem: Pem): boolean => pem.kind === 'pkcs8-encrypted' || pem.kind === 'legacy-encrypted';

/**
 * Opens a private key. An empty passphrase is none, and one for a key that has none is ignored, both as the original
 * client does. The buffers stay the caller's to wipe. Throws damaged-key, passphrase-required, wrong-passphrase,
 * unsupported.
 */
export function readPrivateKey(file: Buffer, passphrase?: Buffer): VolumeKey {
  const pem = readPem(file);
  if (pem.kind === 'spki' || pem.kind === 'pkcs1-public')
    throw fail('damaged-key', 'read a private key: found a public key');
  const sealed = isSealed(pem);
  const secret = passphrase === undefined || passphrase.length === 0 ? undefined : passphrase;
  if (sealed && secret === undefined)
    throw fail('passphrase-required', 'read a private key: it is sealed and no passphrase was given', {
      hint: 'set JFS_RSA_PASSPHRASE or give --passphrase-file',
    });
  if (sealed && secret !== undefined && secret.length > MAX_PASSPHRASE_BYTES)
    throw fail('bad-input', `read a private key: passphrase longer than ${MAX_PASSPHRASE_BYTES} bytes`);
  try {
    return new VolumeKey(
      createPrivateKey({ key: pem.text, format: 'pem', ...(secret && sealed && { passphrase: secret }) }),
    );
  } catch (thrown) {
    throw sealed ? sealedFailure(thrown) : openFailure(thrown);
  }
}

/**
 * Once the outside has parsed, a wrong passphrase and a damaged file look alike: bad padding nearly always, but by luck
 * of the padding also every kind of parse error, and even a key of another type.
 */
function sealedFailure(thrown: unknown): FsError {
  // A key that opened but is too short, say, came out whole: that is no luck.
  if (thrown instanceof FsError) return thrown;
  return fail('wrong-passphrase', 'read a private key: wrong passphrase or damaged key', { cause: safeCause(thrown) });
}

function openFailure(thrown: unknown): FsError {
  if (thrown instanceof FsError) return thrown;
  return fail('damaged-key', 'read a private key: the PEM block holds no RSA private key', {
    cause: safeCause(thrown),
  });
}

/** Opens a public key. Throws damaged-key. */
export function readPublicKey(file: Buffer): PublicKey {
  const pem = readPem(file);
  if (pem.kind !== 'spki' && pem.kind !== 'pkcs1-public')
    throw fail('damaged-key', 'read a public key: found a private key');
  try {
    return new PublicKey(createPublicKey({ key: pem.text, format: 'pem' }));
  } catch (thrown) {
    if (thrown instanceof FsError) throw thrown;
    throw fail('damaged-key', 'read a public key: the PEM block holds no RSA public key', { cause: safeCause(thrown) });
  }
}
