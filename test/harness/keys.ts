// RSA keys as users make them: with openssl.
import { runOk } from './program.ts';
import type { Temp } from './temp.ts';

/** traditional: `openssl genrsa -traditional` (PKCS#1, legacy encryption). pkcs8: `openssl genpkey`. */
export type KeyForm = 'traditional' | 'pkcs8';

export interface TestKey {
  readonly file: string;
  readonly passphrase: string | undefined;
}

let made = 0;

export async function makeKey(temp: Temp, bits: number, form: KeyForm, passphrase?: string): Promise<TestKey> {
  const file = temp.at(`key-${++made}.pem`);
  const env = { ...temp.env, KEY_PASSPHRASE: passphrase };
  if (form === 'traditional') {
    const sealed = passphrase === undefined ? [] : ['-aes256', '-passout', 'env:KEY_PASSPHRASE'];
    await runOk('openssl', ['genrsa', '-traditional', ...sealed, '-out', file, String(bits)], { env });
  } else {
    const sealed = passphrase === undefined ? [] : ['-aes-256-cbc', '-pass', 'env:KEY_PASSPHRASE'];
    const kind = ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`];
    await runOk('openssl', ['genpkey', ...kind, ...sealed, '-out', file], { env });
  }
  return { file, passphrase };
}

/** The public half, as `format` without a private key takes it. */
export async function publicHalf(temp: Temp, key: TestKey): Promise<string> {
  const file = `${key.file}.pub`;
  const env = { ...temp.env, KEY_PASSPHRASE: key.passphrase ?? '' };
  await runOk('openssl', ['rsa', '-in', key.file, '-passin', 'env:KEY_PASSPHRASE', '-pubout', '-out', file], { env });
  return file;
}
