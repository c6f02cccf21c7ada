// Where the API server is and as whom we come: the pod's service account, or a kubeconfig. The service account is read
// here, because the Kubernetes library costs 80 MiB and half a second: only a kubeconfig, with its many ways of
// proving who one is, is worth that, and is used where a person or a test starts the program.
import { readFile } from 'node:fs/promises';
import { Agent, type RequestOptions } from 'node:https';
import { join } from 'node:path';
import { fail } from '../base/errors.ts';

export interface Access {
  readonly server: URL;
  /** The pod's own, or the context's. */
  readonly namespace: string;
  /** Authorities, agent and credentials of one request; tokens may have been renewed since the last. */
  options(): Promise<RequestOptions>;
  close(): void;
}

const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews a token when a fifth of its hour is left, so a minute is soon enough. */
const TOKEN_AGE_MS = 60_000;
/** A dead peer is noticed after this and ten more seconds, also on a watch that says nothing. */
const KEEP_ALIVE_MS = 30_000;
/** One per watch, and a few requests; more would be load that nobody asked for. */
const MAX_SOCKETS = 16;

/** The library's name for a context of its own, where it has found no file: http://localhost:8080. */
const MADE_UP = 'loaded-context';

export interface AccessOptions {
  /** File of a kubeconfig; absent: the service account, or where there is none what KUBECONFIG or the home folder has. */
  readonly kubeconfig?: string | undefined;
  readonly serviceAccountDirectory?: string;
}

export async function openAccess(options: AccessOptions = {}): Promise<Access> {
  const host = process.env['KUBERNETES_SERVICE_HOST'];
  if (options.kubeconfig === undefined && host !== undefined && host !== '')
    return serviceAccount(host, options.serviceAccountDirectory ?? SERVICE_ACCOUNT_DIRECTORY);
  return fromKubeconfig(options.kubeconfig);
}

async function serviceAccount(host: string, directory: string): Promise<Access> {
  const port = process.env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const read = async (name: string): Promise<string> => {
    try {
      return (await readFile(join(directory, name), 'utf8')).trim();
    } catch (cause) {
      throw fail('failed-precondition', `service account: ${name} cannot be read`, {
        cause,
        hint: 'the pod needs automountServiceAccountToken',
      });
    }
  };
  const ca = await read('ca.crt');
  const namespace = await read('namespace');
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, maxSockets: MAX_SOCKETS, ca });
  let token = '';
  let readAt = Number.NEGATIVE_INFINITY;
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    namespace,
    options: async () => {
      if (performance.now() - readAt > TOKEN_AGE_MS) {
        token = await read('token');
        readAt = performance.now();
      }
      return { agent, headers: { authorization: `Bearer ${token}` } };
    },
    close: () => agent.destroy(),
  };
}

async function fromKubeconfig(file: string | undefined): Promise<Access> {
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
  const config = new KubeConfig();
  try {
    if (file === undefined) config.loadFromDefault();
    else config.loadFromFile(file);
  } catch (cause) {
    throw fail('bad-input', 'kubeconfig: cannot be read', { cause });
  }
  const cluster = config.getCurrentCluster();
  const server = cluster === null ? undefined : URL.parse(cluster.server);
  if (server === undefined || server === null)
    throw fail('bad-input', 'kubeconfig: its current context names no cluster');
  if (file === undefined && config.getCurrentContext() === MADE_UP)
    throw fail('bad-input', 'kubeconfig: wanted a file that says where the API server is, found none', {
      hint: 'set KUBECONFIG, name a file by --kubeconfig, or have one in ~/.kube/config',
    });
  if (server.protocol !== 'https:')
    throw fail('refused', `kubeconfig: the transport rule wants https:// for the API server, found ${server.origin}`);
  let agent: { destroy?(): void } | undefined;
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    options: async () => {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      agent = options.agent as typeof agent;
      return options;
    },
    close: () => agent?.destroy?.(),
  };
}
