// Whom a connection to an object store trusts, and as whom it presents itself. Verification is never off.
import { readFileSync } from 'node:fs';
import { Agent, type AgentOptions } from 'node:https';
import { getCACertificates } from 'node:tls';
import { fail } from '../../base/errors.ts';
import type { StoreSettings } from './store.ts';

/** Enough for the uploads and downloads of one mount; more only queue up in the server. */
const MAX_SOCKETS = 32;
/** Servers close idle connections after a minute or so; sooner here, so that few requests meet a closing one. */
const KEEP_ALIVE_MS = 15_000;

type Trust = Pick<StoreSettings, 'caBundle' | 'clientCertificate' | 'clientKey'>;

/** Files named in the environment whose authorities count, too; NODE_EXTRA_CA_CERTS is Node's own. */
const CA_VARIABLES = ['AWS_CA_BUNDLE', 'SSL_CERT_FILE'] as const;

export function httpsAgent(settings: Trust, env: NodeJS.ProcessEnv = process.env): Agent {
  const added = [settings.caBundle, ...CA_VARIABLES.map((name) => caFile(name, env))].filter(
    (pem) => pem !== undefined,
  );
  const options: AgentOptions = {
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_MS,
    maxSockets: MAX_SOCKETS,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    // Without additions Node shares one set of roots between all connections.
    ...(added.length > 0 && { ca: [...getCACertificates('default'), ...added] }),
    ...(settings.clientCertificate && { cert: settings.clientCertificate, key: settings.clientKey }),
  };
  return new Agent(options);
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
