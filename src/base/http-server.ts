// A small HTTP server for whoever watches a process: its counters, and whether it works. GET only, no request is read beyond
// its first lines, and nobody holds it up by asking much or slowly. Plain HTTP: what it tells is no secret.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { FsError, fail } from './errors.ts';
import { log } from './log.ts';
import { KiB } from './units.ts';

export interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

export interface Pages {
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
  /** Fails when the process does not do its work, so that starting it anew may help. */
  alive(): Promise<void>;
  /** Fails, too, when something that it needs is not there; left out: the same as alive. */
  ready?(): Promise<void>;
}

export interface HttpServer {
  /** Where it listens: with the port that the kernel chose where 0 was wanted. */
  readonly address: HttpAddress;
  close(): Promise<void>;
}

/** A scraper, a kubelet, an administrator, each perhaps twice. */
const MAX_CONNECTIONS = 16;
/** For the lines of a request, which come at once; and for a connection that nothing comes from. */
const REQUEST_MS = 5_000;
const IDLE_MS = 15_000;
const MAX_HEADER = 4 * KiB;
/** How late it may be seen that a request is. */
const LOOK_MS = 1_000;
/** Below the five seconds that the chart gives a probe, so that the answer says what hangs. */
const CHECK_MS = 4_000;
const MAX_PORT = 65_535;

/** "0.0.0.0:9808", "[::]:9808", "localhost:9808". */
export function parseHttpAddress(text: string): HttpAddress {
  const [, v6, name, portText = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || (v6 !== undefined && !isIPv6(v6)) || Number(portText) > MAX_PORT)
    throw fail('bad-input', `--http-address ${JSON.stringify(text)}: wanted HOST:PORT, as 0.0.0.0:9808 or [::]:9808`);
  return { host, port: Number(portText) };
}

export async function serveHttp({ host, port }: HttpAddress, pages: Pages): Promise<HttpServer> {
  const routes = routesOf(pages);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER,
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: REQUEST_MS,
      connectionsCheckingInterval: LOOK_MS,
    },
    (request, response) => void answer(routes, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(IDLE_MS);
  await listen(server, host, port);
  server.on('error', (error) => log.warn('http server', { error: error.message }));
  server.unref(); // it watches the process and does not keep it
  const address = { host, port: (server.address() as AddressInfo).port };
  log.info('serving http', { ...address });
  return { address, close: () => closed(server) };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(fail('bad-input', `--http-address: cannot listen at ${host} port ${port}: ${cause.message}`, { cause })),
    );
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

type Route = () => Promise<Reply>;

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const plain = (status: number, line: string): Reply => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${line}\n`,
});

function routesOf(pages: Pages): ReadonlyMap<string, Route> {
  const alive = together(() => checked(() => pages.alive()));
  return new Map<string, Route>([
    ['/healthz', alive],
    ['/readyz', pages.ready === undefined ? alive : together(() => checked(async () => pages.ready?.()))],
    [
      '/metrics',
      together(async () => ({
        status: 200,
        type: 'text/plain; version=0.0.4; charset=utf-8',
        body: await pages.metrics(),
      })),
    ],
  ]);
}

/** Who asks while an answer is being made gets that one. */
function together(route: Route): Route {
  let running: Promise<Reply> | undefined;
  return () => {
    running ??= route().finally(() => {
      running = undefined;
    });
    return running;
  };
}

async function checked(check: () => Promise<void>): Promise<Reply> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(fail('timeout', `no answer for ${CHECK_MS} ms`)), CHECK_MS);
  });
  try {
    await Promise.race([check(), late]);
    return plain(200, 'ok');
  } catch (error) {
    return plain(503, FsError.from(error).message);
  } finally {
    clearTimeout(timer);
  }
}

async function answer(
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.on('error', () => undefined);
  // A body is nobody's wish here: the connection ends with the answer instead of reading it.
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined)
    response.setHeader('connection', 'close');
  const { status, type, body } = await replyTo(routes, request);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function replyTo(routes: ReadonlyMap<string, Route>, { method, url = '' }: IncomingMessage): Promise<Reply> {
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'GET only');
  const route = routes.get(url.replace(/\?.*$/s, ''));
  if (route === undefined) return plain(404, 'there are /metrics, /healthz and /readyz');
  try {
    return await route();
  } catch (error) {
    log.warn('http request failed', { error: FsError.from(error, url).message });
    return plain(500, 'failed, see the log');
  }
}
