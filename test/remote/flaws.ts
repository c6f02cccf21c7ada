// Ways in which a server's certificate does not prove that it is the server: each as an administrator or a stranger makes it.
import { Authority, type Certificate } from '../harness/certificates.ts';
import type { Temp } from '../harness/temp.ts';

const ADDRESS = '127.0.0.1';

export interface Flaw {
  readonly name: string;
  /** In the words of OpenSSL and Node. */
  readonly says: RegExp;
  make(temp: Temp, authority: Authority): Promise<Certificate>;
}

export const flaws: readonly Flaw[] = [
  {
    name: 'a foreign authority',
    says: /unable to (verify|get local issuer)/,
    make: async (temp) => (await Authority.make(temp)).server([ADDRESS]),
  },
  {
    name: 'an expired certificate',
    says: /certificate has expired/,
    make: (_, authority) => authority.server([ADDRESS], { expired: true }),
  },
  {
    name: 'a certificate of tomorrow',
    says: /certificate is not yet valid/,
    make: (_, authority) => authority.server([ADDRESS], { notYet: true }),
  },
  {
    name: 'a wrong host name',
    says: /does not match certificate's altnames|is not in the cert's list/,
    make: (_, authority) => authority.server(['another.test', '127.0.0.9']),
  },
  {
    name: 'a certificate that signed itself',
    says: /self-signed certificate/,
    make: (temp) => Authority.selfSigned(temp, [ADDRESS]),
  },
  {
    name: "a client's certificate",
    says: /unsuitable certificate purpose|unsupported certificate purpose|altnames/,
    make: (_, authority) => authority.client('volume'),
  },
];
