// The cluster's own certificates and the files by which its components know the API server, made with openssl: one CA, keys
// on P-256, valid for two days. Kubernetes reads the user from the common name and groups from the organisation.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '../../harness/program.ts';

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const DAYS = ['-days', '2'];

export class ClusterCertificates {
  readonly folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.folder = folder;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async makeAuthority(): Promise<void> {
    const files = ['-keyout', this.path('ca.key'), '-out', this.path('ca.crt')];
    await runOk('openssl', ['req', '-x509', ...CURVE, ...DAYS, '-subj', '/CN=pageseal-test-cluster', ...files]);
    await runOk('openssl', [
      'genpkey',
      '-algorithm',
      'EC',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-out',
      this.path('sa.key'),
    ]);
    await runOk('openssl', ['pkey', '-in', this.path('sa.key'), '-pubout', '-out', this.path('sa.pub')]);
  }

  /** `name`.crt and .key; one with `names` (as openssl writes alternative names) serves, all are clients. */
  async make(name: string, subject: string, names: readonly string[] = []): Promise<void> {
    const [key, request, extensions] = [this.path(`${name}.key`), this.path(`${name}.csr`), this.path(`${name}.ext`)];
    await runOk('openssl', ['req', '-new', ...CURVE, '-subj', subject, '-keyout', key, '-out', request]);
    const uses = names.length === 0 ? 'clientAuth' : 'clientAuth,serverAuth';
    const alternatives = names.length === 0 ? [] : [`subjectAltName=${names.join()}`];
    const lines = [
      'basicConstraints=CA:FALSE',
      'keyUsage=digitalSignature',
      `extendedKeyUsage=${uses}`,
      ...alternatives,
    ];
    writeFileSync(extensions, `${lines.join('\n')}\n`);
    const signer = ['-CA', this.path('ca.crt'), '-CAkey', this.path('ca.key'), '-set_serial', serial(), ...DAYS];
    const files = ['-in', request, '-extfile', extensions, '-out', this.path(`${name}.crt`)];
    await runOk('openssl', ['x509', '-req', ...signer, ...files]);
  }

  /** A kubeconfig with the certificate of that name. */
  writeKubeconfig(file: string, name: string, server: string): void {
    const base64 = (of: string): string => readFileSync(this.path(of)).toString('base64');
    const user = { 'client-certificate-data': base64(`${name}.crt`), 'client-key-data': base64(`${name}.key`) };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'testbed',
      contexts: [{ name: 'testbed', context: { cluster: 'testbed', user: name } }],
      clusters: [{ name: 'testbed', cluster: { server, 'certificate-authority-data': base64('ca.crt') } }],
      users: [{ name, user }],
    };
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 }); // JSON is YAML
  }
}

let made = 0;
/** Different for each certificate of a CA. */
const serial = (): string => String(Date.now() * 1000 + made++);
