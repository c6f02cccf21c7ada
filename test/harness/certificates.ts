// Certificates as an administrator makes them: with openssl. A CA of the test's own, and what it signs, the wrong kinds
// included.
import { readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { runOk } from './program.ts';
import type { Temp } from './temp.ts';

/** PEM files. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly expired?: boolean;
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const DAYS = '30';
let made = 0;

/** Another one for the same test is a foreign CA. */
export class Authority {
  /** PEM file of the CA's own certificate: what clients are told to trust. */
  readonly file: string;
  readonly #key: string;
  readonly #temp: Temp;

  private constructor(temp: Temp) {
    const base = temp.at(`authority-${++made}`);
    this.#temp = temp;
    this.file = `${base}.pem`;
    this.#key = `${base}.key`;
  }

  static async make(temp: Temp): Promise<Authority> {
    const authority = new Authority(temp);
    const subject = ['-subj', `/CN=Pageseal test CA ${made}`, '-days', DAYS];
    const uses = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
    const files = ['-keyout', authority.#key, '-out', authority.file];
    await openssl(temp, ['req', '-x509', ...CURVE, ...subject, ...uses, ...files]);
    return authority;
  }

  get pem(): string {
    return readFileSync(this.file, 'utf8');
  }

  /** For a server that is called by these names and addresses; a name may begin with `*.`. */
  server(names: readonly string[], options: CertificateOptions = {}): Promise<Certificate> {
    const alternatives = names.map((name) => `${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`);
    return this.#sign('server', [`subjectAltName=${alternatives.join(',')}`, 'extendedKeyUsage=serverAuth'], options);
  }

  /** PostgreSQL compares the common name with the role. */
  client(commonName: string, options: CertificateOptions = {}): Promise<Certificate> {
    return this.#sign(commonName, ['extendedKeyUsage=clientAuth'], options);
  }

  async #sign(
    commonName: string,
    uses: readonly string[],
    { expired = false }: CertificateOptions,
  ): Promise<Certificate> {
    const base = this.#temp.at(`certificate-${++made}`);
    const [certificate, key, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) => `${base}.${end}`) as [
      string,
      string,
      string,
      string,
    ];
    await openssl(this.#temp, ['req', '-new', ...CURVE, '-subj', `/CN=${commonName}`, '-keyout', key, '-out', request]);
    writeFileSync(extensions, `basicConstraints=CA:FALSE\n${uses.join('\n')}\n`);
    const signer = ['-CA', this.file, '-CAkey', this.#key, '-set_serial', String(made)];
    const life = ['-days', expired ? '-1' : DAYS];
    await openssl(this.#temp, [
      'x509',
      '-req',
      '-in',
      request,
      '-extfile',
      extensions,
      ...signer,
      ...life,
      '-out',
      certificate,
    ]);
    return { certificate, key };
  }
}

const openssl = (temp: Temp, args: readonly string[]): Promise<string> => runOk('openssl', args, { env: temp.env });
