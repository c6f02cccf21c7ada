// Whom a connection to an object store trusts, as whom it presents itself, and through which proxy it goes. Verification
// is never off, through a proxy neither: it carries a tunnel and sees no more than the host's name.
import { readFileSync } from 'node:fs';
import { Agent, type AgentOptions } from 'node:https';
import { createSecureContext, getCACertificates } from 'node:tls';
import { fail } from '../../base/errors.ts';
import { remoteLookup } from '../../base/local-address.ts';
import type { StoreSettings } from './store.ts';

/** Above what a mount has under way at once (uploads, downloads, deletes): who waits for a socket is short of its time. */
const MAX_SOCKETS = 80;
/** Some servers close idle connections after 20 seconds; sooner here, so that few requests meet a closing one. */
const IDLE_SOCKET_MS = 15_000;
/** Of several addresses of a host the next is tried then; Node's own quarter of a second is less than some ways take. */
const NEXT_ADDRESS_MS = 2000;

export type Trust = Pick<StoreSettings, 'caBundle' | 'clientCertificate' | 'clientKey' | 'remoteOnly'>;

/** Files named in the environment whose authorities count, too. A worker gets Node's own after Node has looked for it. */
const CA_VARIABLES = ['AWS_CA_BUNDLE', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'] as const;

/** `host` is the store's: a proxy is chosen by it. */
export async function httpsAgent(settings: Trust, host: string, env: NodeJS.ProcessEnv = process.env): Promise<Agent> {
  const options: AgentOptions = {
    keepAlive: true,
    timeout: IDLE_SOCKET_MS,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
    maxSockets: MAX_SOCKETS,
    maxFreeSockets: MAX_SOCKETS,
    ...tlsOptions(settings, env),
  };
  const proxy = proxyFor(host, env);
  // A proxy is where the administrator says; it looks the store's name up itself.
  if (proxy === undefined) return new Agent({ ...options, ...(settings.remoteOnly && { lookup: remoteLookup }) });
  const { tunnelAgent } = await import('./tunnel.ts');
  return tunnelAgent(proxy, options);
}

function tlsOptions(settings: Trust, env: NodeJS.ProcessEnv = process.env): AgentOptions {
  const { caBundle, clientCertificate, clientKey } = settings;
  const added = [caBundle, ...CA_VARIABLES.map((name) => caFile(name, env))].filter((pem) => pem !== undefined);
  const options = { minVersion: 'TLSv1.2', rejectUnauthorized: true } as const;
  // Node then shares one set of roots between all connections.
  if (added.length === 0 && !clientCertificate) return options;
  try {
    // Made once for all connections: reading the roots costs more than a handshake, and an agent that has them as text
    // compares all of it at each request.
    const secureContext = createSecureContext({
      minVersion: options.minVersion,
      ...(added.length > 0 && { ca: [...getCACertificates('default'), ...added] }),
      ...(clientCertificate && { cert: clientCertificate, key: clientKey }),
    });
    return { ...options, secureContext };
  } catch (thrown) {
    throw fail('bad-input', `TLS settings of the object store: ${(thrown as Error).message}`, {
      hint: 'wanted PEM text: certificates of authorities; a client certificate and its key',
    });
  }
}

function caFile(name: (typeof CA_VARIABLES)[number], env: NodeJS.ProcessEnv): string | undefined {
  const path = env[name];
  if (path === undefined || path === '') return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    throw fail('bad-input', `${name}: cannot read ${path}: ${(thrown as Error).message}`, { cause: thrown });
  }
}

/** HTTPS_PROXY, else ALL_PROXY, unless NO_PROXY names the host; lower-case spellings first, as elsewhere. */
export function proxyFor(host: string, env: NodeJS.ProcessEnv): string | undefined {
  const variable = (name: string): string => env[name.toLowerCase()] || env[name] || '';
  const proxy = variable('HTTPS_PROXY') || variable('ALL_PROXY');
  if (proxy === '' || isExempt(host, variable('NO_PROXY'))) return undefined;
  const url = URL.canParse(proxy) ? new URL(proxy) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return proxy;
  throw fail('bad-input', 'HTTPS_PROXY: wanted http://HOST:PORT or https://HOST:PORT of a proxy that knows CONNECT');
}

/** Names cover the hosts below them; '*' is every host. Ports are not compared. */
function isExempt(host: string, list: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return list
    .split(/[\s,]+/)
    .map((each) => each.replace(/^\*?\./, '').replace(/:\d+$/, ''))
    .some((each) => each !== '' && (each === '*' || bare === each || bare.endsWith(`.${each}`)));
}
