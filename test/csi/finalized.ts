// A controller that puts finalizers on Secrets, on a real API server, as the account and with the rights and the admission
// policy of the chart. The test is the provisioner: it makes claims, asks for volumes and writes PersistentVolumes.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseEndpoints } from '../../src/config/endpoints.ts';
import { type RunningCsi, startCsi } from '../../src/csi/run.ts';
import { openAccess } from '../../src/kube/access.ts';
import { KubeClient } from '../../src/kube/client.ts';
import type { KubeObject, Secret } from '../../src/kube/objects.ts';
import {
  configMaps,
  leases,
  type Name,
  objectPath,
  persistentVolumeClaims,
  persistentVolumes,
  type Resource,
  secrets,
  storageClasses,
} from '../../src/kube/resources.ts';
import { NAMESPACE, render } from '../chart/chart.ts';
import { CsiClient, writer } from '../harness/csi-client.ts';
import { until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { ApiServer } from '../kube/api-server.ts';

export const RECORD = 'pageseal-controller-secrets';
export const FINALIZER = 'csi.pageseal.dev/volumes';
export const TEAM = 'team';
const LEASE = 'csi-pageseal-dev';
const KINDS = /^(ServiceAccount|(Cluster)?Role(Binding)?|ConfigMap|ValidatingAdmissionPolicy(Binding)?)$/;
const DELETION = 'volume.kubernetes.io/provisioner-deletion-secret';

/** What the account sends: patches of Secrets wait on their way where a test says so. */
class HeldClient extends KubeClient {
  /** "verb path" of everything that was sent. */
  readonly sent: string[] = [];
  #held: Promise<void> | undefined;

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return () => {
      this.#held = undefined;
      resolve();
    };
  }

  override async get<T extends KubeObject>(of: Resource<T>, name: Name, signal?: AbortSignal): Promise<T> {
    this.sent.push(`get ${objectPath(of, name)}`);
    return super.get(of, name, signal);
  }

  override async patch<T extends KubeObject>(of: Resource<T>, name: Name, body: unknown): Promise<T> {
    this.sent.push(`patch ${objectPath(of, name)}`);
    if (of.kind === 'Secret') await this.#held;
    return super.patch(of, name, body);
  }
}

export class Finalized {
  readonly api: ApiServer;
  /** Of an administrator. */
  readonly kube: KubeClient;
  /** As the controller is. */
  account: HeldClient;
  readonly data: Readonly<Record<string, string>>;
  readonly #temp: Temp;
  /** Its kubeconfig. */
  readonly accountFile: string;
  readonly embedded: string;
  #running: RunningCsi | undefined;
  #client: CsiClient | undefined;

  private constructor(temp: Temp, api: ApiServer, kube: KubeClient, account: HeldClient, accountFile: string) {
    this.#temp = temp;
    this.api = api;
    this.kube = kube;
    this.account = account;
    this.accountFile = accountFile;
    this.embedded = temp.folder('embedded');
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.data = { 'rsa-public-key': publicKey.export({ type: 'spki', format: 'pem' }).toString() };
  }

  static async make(temp: Temp): Promise<Finalized> {
    const api = await ApiServer.start(temp);
    for (const name of [NAMESPACE, TEAM]) await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    const objects = (await render({ controller: { secretFinalizer: true } })).filter(({ kind }) => KINDS.test(kind));
    const applied = await api.apply({ apiVersion: 'v1', kind: 'List', items: objects });
    if (applied.code !== 0) throw new Error(applied.stderr);
    const token = await api.kubectl('create', 'token', 'pageseal-controller', '-n', NAMESPACE);
    const config = JSON.parse(await api.kubectl('config', 'view', '--raw', '-o', 'json'));
    config.users[0].user = { token };
    config.contexts[0].context.namespace = NAMESPACE;
    const file = temp.at('account-kubeconfig');
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    const account = new HeldClient(await openAccess({ kubeconfig: file }));
    const all = new Finalized(temp, api, await api.client(), account, file);
    await all.#policyWorks();
    await all.kube.create(storageClasses, {
      metadata: { name: 'sealed' },
      provisioner: 'csi.pageseal.dev',
      parameters: all.parameters('$' + "{pvc.annotations['secret']}"),
    });
    return all;
  }

  /** Of a class. */
  parameters(name: string): Readonly<Record<string, string>> {
    return {
      'csi.storage.k8s.io/provisioner-secret-name': name,
      'csi.storage.k8s.io/provisioner-secret-namespace': '$' + '{pvc.namespace}',
    };
  }

  /** The server takes a moment to act by a new policy. */
  async #policyWorks(): Promise<void> {
    await this.secret('probe');
    const at = { namespace: TEAM, name: 'probe' };
    await until('the policy to be in force', async () => {
      const tried = this.account.patch(secrets, at, { metadata: { labels: { at: String(Date.now()) } } });
      return tried.then(
        () => false,
        (thrown: Error) => /changes no labels/.test(thrown.message),
      );
    });
  }

  async start(): Promise<void> {
    // A client is closed with its process.
    this.account = new HeldClient(await openAccess({ kubeconfig: this.accountFile }));
    this.#running = await startCsi({
      mode: 'controller',
      endpoint: `unix://${this.#temp.at('csi.sock')}`,
      nodeId: 'node-1',
      keeperSocket: '',
      kubeletDirectory: '/var/lib/kubelet',
      stateDirectory: undefined,
      embedded: this.embedded,
      endpoints: parseEndpoints(''),
      ambientCredentials: false,
      kube: this.account,
      secretFinalizer: RECORD,
    });
    this.#client = new CsiClient(this.#temp.at('csi.sock'));
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.#running?.close();
    this.#running = undefined;
  }

  async secret(name: string, metadata: object = {}): Promise<Secret> {
    const data = Object.fromEntries(
      Object.entries(this.data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    );
    return this.kube.create(secrets, { metadata: { namespace: TEAM, name, ...metadata }, data });
  }

  async finalizers(name: string): Promise<readonly string[] | undefined> {
    const found = await this.kube.find(secrets, { namespace: TEAM, name });
    return found && (found.metadata.finalizers ?? []);
  }

  async recorded(): Promise<readonly string[]> {
    const { data } = await this.kube.get(configMaps, { namespace: NAMESPACE, name: RECORD });
    return (data?.['secrets'] ?? '').split('\n').filter(Boolean);
  }

  /** Of this name and with this Secret; answers the name of its volume. */
  async claim(name: string, secret: string, storageClassName = 'sealed'): Promise<string> {
    const { metadata } = await this.kube.create(persistentVolumeClaims, {
      metadata: { namespace: TEAM, name, annotations: { secret } },
      spec: { storageClassName, accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
    return `pvc-${metadata.uid}`;
  }

  /** As the provisioner asks; `claim` undefined: without --extra-create-metadata. */
  async create(volume: string, claim: string | undefined): Promise<string> {
    const parameters =
      claim === undefined
        ? {}
        : {
            'csi.storage.k8s.io/pvc/name': claim,
            'csi.storage.k8s.io/pvc/namespace': TEAM,
            'csi.storage.k8s.io/pv/name': volume,
          };
    const request = { name: volume, secrets: this.data, parameters, volumeCapabilities: [writer()] };
    if (this.#client === undefined) throw new Error('no controller');
    return (await this.#client.call('Controller', 'createVolume', request)).volume.volumeId;
  }

  /** As the provisioner writes it. */
  async volume(name: string, volumeHandle: string, secret: string): Promise<void> {
    await this.kube.create(persistentVolumes, {
      metadata: { name, annotations: { [`${DELETION}-name`]: secret, [`${DELETION}-namespace`]: TEAM } },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        csi: { driver: 'csi.pageseal.dev', volumeHandle },
      },
    });
  }

  /** Nobody here takes the protection of the API server off. */
  async deleteVolume(name: string): Promise<void> {
    await this.kube.patch(persistentVolumes, { name }, { metadata: { finalizers: null } });
    await this.kube.remove(persistentVolumes, { name });
  }

  /** The provisioner beside which pod acts. */
  async lease(holderIdentity: string = hostname()): Promise<void> {
    const at = { namespace: NAMESPACE, name: LEASE };
    const spec = { holderIdentity, leaseDurationSeconds: 15 };
    if ((await this.kube.find(leases, at)) === undefined) await this.kube.create(leases, { metadata: at, spec });
    else await this.kube.patch(leases, at, { spec });
  }
}
