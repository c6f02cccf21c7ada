// The SDK's client of one bucket: who signs, over which connections, within which limits. Its own retries are off:
// RetryingStore tries again, and two layers would multiply.
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { fail } from '../../base/errors.ts';
import { checkRemoteHost } from '../../base/local-address.ts';
import { checkTransport, type TransportExceptions } from './https-policy.ts';
import type { S3Address } from './s3-address.ts';
import { s3Kind } from './s3-kinds.ts';
import type { StoreSettings } from './store.ts';
import { httpsAgent, proxyFor, type Trust } from './trust.ts';

/** A host that answers at all does so in a second; a lost packet is sent again after one, two and four. */
const CONNECT_MS = 8000;
/** Without a byte in either direction. */
const IDLE_MS = 20_000;
/** What the SDK is given for a region until the bucket's is known. */
export const DEFAULT_REGION = 'us-east-1';

export interface S3Connection {
  readonly client: S3Client;
  /** The credentials come from a provider, which can be asked for fresh ones. */
  readonly provided: boolean;
}

export function connectS3(address: S3Address, settings: StoreSettings, region: string): S3Connection {
  const credentials = credentialsOf(settings);
  const client = new S3Client({
    region,
    forcePathStyle: address.pathStyle,
    ...(address.endpoint && { endpoint: address.endpoint.href }),
    ...(address.dualStack && { useDualstackEndpoint: true }),
    ...(address.fips && { useFipsEndpoint: true }),
    ...credentials,
    maxAttempts: 1,
    // Ours are in s3-put.ts: the SDK's are trailers of signed chunks, which some stores refuse.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A page is sent at once: asking first costs a round trip.
    expectContinueHeader: false,
    requestHandler: new GuardedHandler(settings) as unknown as NodeHttpHandler,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  if (address.noChecksum !== true && CHECKSUMMED.has(settings.storage)) askForChecksums(client);
  return { client, provided: credentials === undefined };
}

/** Whose servers are known to take the header; others might refuse what they do not know. */
const CHECKSUMMED: ReadonlySet<string> = new Set(['s3', 'minio']);

/** Told by a header: the SDK's own switch for it also puts a stream of its own before the body. */
function askForChecksums(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const { headers } = args.request as { headers: Record<string, string> };
        if (commandName === 'GetObjectCommand') headers['x-amz-checksum-mode'] = 'ENABLED';
        return next(args);
      },
    { step: 'build', name: 'askForChecksums' },
  );
}

/** Undefined: the SDK's chain (environment, profiles, web identity, container, instance), which also renews them. */
function credentialsOf({
  storage,
  accessKey,
  secretKey,
  sessionToken,
}: StoreSettings): Partial<S3ClientConfig> | undefined {
  if (accessKey === 'anonymous')
    return {
      credentials: { accessKeyId: '', secretAccessKey: '' },
      signer: { sign: async (request) => request },
    };
  if (accessKey) return staticCredentials(accessKey, secretKey, sessionToken);
  const [id, secret, token] = s3Kind(storage)?.variables ?? [];
  const found = process.env[id ?? ''];
  if (found) return staticCredentials(found, process.env[secret ?? ''], process.env[token ?? '']);
  // The chain's keys are AWS's: nobody else is shown what they sign.
  if (storage === 's3' || storage === 'minio') return undefined;
  throw fail('unauthenticated', `storage ${storage}: no access key`, {
    hint: `give --access-key and --secret-key${id === undefined ? '' : `, or ${id} and ${secret} in the environment`}`,
  });
}

const staticCredentials = (accessKeyId: string, secretAccessKey = '', sessionToken = ''): Partial<S3ClientConfig> => ({
  credentials: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) },
});

type Request = Parameters<NodeHttpHandler['handle']>[0];
type Options = Parameters<NodeHttpHandler['handle']>[1];
type Answer = Awaited<ReturnType<NodeHttpHandler['handle']>>;

/** The last to see a request and the first to see an answer, token services included: here the transport rule holds. */
class GuardedHandler {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #settings: Trust & TransportExceptions;
  /** By proxy; a handful at most: none, and the environment's. */
  readonly #handlers = new Map<string, Promise<NodeHttpHandler>>();

  constructor(settings: Trust & TransportExceptions) {
    this.#settings = settings;
  }

  async handle(request: Request, options?: Options): Promise<Answer> {
    const { protocol, hostname } = request;
    if (protocol !== 'https:') checkTransport(new URL(`${protocol}//${hostname}`), this.#settings);
    if (this.#settings.remoteOnly === true) checkRemoteHost(hostname);
    const handler = await this.#handler(hostname);
    const answer = await handler.handle(request, options);
    const { statusCode, headers } = answer.response;
    const location = headers['location'];
    if (statusCode >= 300 && statusCode < 400 && location !== undefined && URL.canParse(location)) {
      // Nobody follows it: an https:// one is answered by its status.
      checkTransport(new URL(location), this.#settings, `redirect from ${hostname} to`);
    }
    return answer;
  }

  destroy(): void {
    for (const made of this.#handlers.values()) made.then((handler) => handler.destroy()).catch(() => undefined);
  }

  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): object {
    return {};
  }

  #handler(hostname: string): Promise<NodeHttpHandler> {
    const by = proxyFor(hostname, process.env) ?? '';
    let handler = this.#handlers.get(by);
    if (handler === undefined) {
      const limits = { connectionTimeout: CONNECT_MS, socketTimeout: IDLE_MS };
      const agent = httpsAgent(this.#settings, hostname);
      handler = agent.then((made) => new NodeHttpHandler({ ...limits, httpsAgent: made }));
      this.#handlers.set(by, handler);
    }
    return handler;
  }
}
