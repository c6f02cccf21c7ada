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
  /** From tomorrow on. */
  readonly notYet?: boolean;
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const DAYS = '30';
const DAY_MS = 86_400_000;
let made = 0;

/** Another one for the same test is a foreign CA. */
export class Authority {
  /** PEM file of the CA's own certificate: what clients are told to trust. */
  readonly file: string;
  readonly #key: string;
  readonly #temp: Temp;

  private constructor(temp: Temp, file: string) {
    this.#temp = temp;
    this.file = file;
    this.#key = file.replace(/pem$/, 'key');
  }

  /** One that somebody else made, by its file: the key is beside it. What it signs is the asking test's. */
  static at(temp: Temp, file: string): Authority {
    return new Authority(temp, file);
  }

  static async make(temp: Temp): Promise<Authority> {
    const authority = new Authority(temp, temp.at(`authority-${++made}.pem`));
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
    return this.#sign('server', [alternatives(names), 'extendedKeyUsage=serverAuth'], options);
  }

  /** PostgreSQL compares the common name with the role. */
  client(commonName: string, options: CertificateOptions = {}): Promise<Certificate> {
    return this.#sign(commonName, ['extendedKeyUsage=clientAuth'], options);
  }

  /** Of nobody's but its own, for a server that is called so. */
  static async selfSigned(temp: Temp, names: readonly string[]): Promise<Certificate> {
    const base = temp.at(`certificate-${++made}`);
    const [certificate, key] = [`${base}.pem`, `${base}.key`];
    const about = ['-subj', '/CN=server', '-days', DAYS, '-addext', alternatives(names)];
    await openssl(temp, ['req', '-x509', ...CURVE, ...about, '-keyout', key, '-out', certificate]);
    return { certificate, key };
  }

  async #sign(commonName: string, uses: readonly string[], options: CertificateOptions): Promise<Certificate> {
    const base = this.#temp.at(`certificate-${++made}`);
    const [certificate, key, request, settings] = ['pem', 'key', 'csr', 'cnf'].map((end) => `${base}.${end}`) as [
      string,
      string,
      string,
      string,
    ];
    await openssl(this.#temp, ['req', '-new', ...CURVE, '-subj', `/CN=${commonName}`, '-keyout', key, '-out', request]);
    writeFileSync(`${base}.index`, '');
    const own = [
      `database = ${base}.index`,
      `new_certs_dir = ${this.#temp.path}`,
      'policy = any',
      'unique_subject = no',
    ];
    const authority = ['[ca]', 'default_ca = own', '[own]', ...own, 'default_md = sha256', 'rand_serial = yes'];
    const rules = ['[any]', 'commonName = supplied', '[extensions]', 'basicConstraints = CA:FALSE', ...uses];
    writeFileSync(settings, [...authority, ...rules, ''].join('\n'));
    const signer = ['-config', settings, '-extensions', 'extensions', '-cert', this.file, '-keyfile', this.#key];
    const files = ['-in', request, '-out', certificate];
    await openssl(this.#temp, ['ca', '-batch', '-notext', ...signer, ...lifeOf(options), ...files]);
    return { certificate, key };
  }
}

function lifeOf({ expired = false, notYet = false }: CertificateOptions): string[] {
  const date = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString().replace(/[-:T]|\.\d+/g, '');
  return ['-startdate', date(notYet ? 1 : -2), '-enddate', date(expired ? -1 : Number(DAYS))];
}

const alternatives = (names: readonly string[]): string =>
  `subjectAltName=${names.map((name) => `${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`).join(',')}`;

const openssl = (temp: Temp, args: readonly string[]): Promise<string> => runOk('openssl', args, { env: temp.env });
