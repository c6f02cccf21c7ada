// The way to a PostgreSQL server: a socket over which nobody else can read. The server's certificate is checked in full
// before a password leaves; there is no way down to clear text.
import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { FsError, fail } from '../../base/errors.ts';
import { checkRemoteHost, localRefusal, remoteLookup } from '../../base/local-address.ts';
import { isSocketFolder, type PostgresHost, type PostgresLocation } from './postgres-url.ts';

/** Length 8, code 1234.5679: "may we speak TLS?" (PostgreSQL protocol, SSLRequest). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const YES = 'S'.charCodeAt(0);
/** A dead peer is noticed on an idle connection; one with a statement under way has its time limit. */
const KEEPALIVE_MS = 15_000;
const MAX_PEM_BYTES = 1024 * 1024;

/** Certificates of the location, read once for each connection, so that renewed files are taken up. */
export async function tlsOptions(location: PostgresLocation): Promise<ConnectionOptions> {
  const { rootCertificate, clientCertificate, clientKey } = location;
  const [ca, cert, key] = await Promise.all([
    pem(rootCertificate, 'sslrootcert'),
    pem(clientCertificate, 'sslcert'),
    pem(clientKey, 'sslkey'),
  ]);
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

async function pem(text: string | undefined, option: string): Promise<string | undefined> {
  if (text === undefined || text.trimStart().startsWith('-----BEGIN')) return text;
  const bytes = await readFile(text).catch((thrown: NodeJS.ErrnoException) => {
    throw fail('bad-input', `read ${option} of the metadata url: ${thrown.code ?? 'failed'}: ${text}`);
  });
  if (bytes.length > MAX_PEM_BYTES) throw fail('bad-input', `read ${option} of the metadata url: ${text} is too large`);
  return bytes.toString('latin1');
}

/** Connected, and under TLS where the location wants it. Ends with the signal. */
export async function openSocket(
  location: PostgresLocation,
  host: PostgresHost,
  signal: AbortSignal,
): Promise<Socket | TLSSocket> {
  const options = location.transport === 'clear' || isSocketFolder(host) ? undefined : await tlsOptions(location);
  const plain = await connected(host, location, signal);
  try {
    if (options !== undefined) return await secured(plain, options, host, location, signal);
    if (!isSocketFolder(host) && !isLoopbackAddress(plain.remoteAddress ?? '')) throw notLoopback(host, plain);
    return plain;
  } catch (thrown) {
    plain.destroy();
    throw thrown;
  }
}

async function connected(host: PostgresHost, { remoteOnly }: PostgresLocation, signal: AbortSignal): Promise<Socket> {
  if (remoteOnly) {
    if (isSocketFolder(host)) throw localRefusal('connect to a unix socket');
    checkRemoteHost(host.host);
  }
  const socket = connectTcp(
    isSocketFolder(host)
      ? { path: `${host.host}/.s.PGSQL.${host.port}` }
      : {
          host: host.host,
          port: host.port,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: KEEPALIVE_MS,
          ...(remoteOnly && { lookup: remoteLookup }),
        },
  );
  socket.on('error', () => undefined); // whoever waits has a listener of his own
  await event(socket, 'connect', signal);
  return socket;
}

async function secured(
  plain: Socket,
  options: ConnectionOptions,
  { host }: PostgresHost,
  location: PostgresLocation,
  signal: AbortSignal,
): Promise<TLSSocket> {
  plain.write(SSL_REQUEST);
  const answer = (await event(plain, 'data', signal)) as Buffer;
  plain.pause();
  if (answer[0] !== YES)
    throw fail(
      'refused',
      `connect to ${location.description}: the server offers no TLS, and metadata never travels in clear text`,
      {
        hint: 'set ssl=on at the server; sslmode=disable is for unix sockets and loopback only',
      },
    );
  // Whatever came with the answer came in clear text, from anybody.
  if (answer.length !== 1)
    throw fail('refused', `connect to ${location.description}: ${answer.length - 1} bytes in clear text before TLS`);
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket = connectTls({ ...options, ...name, socket: plain, host });
  socket.on('error', () => undefined);
  try {
    await event(socket, 'secureConnect', signal);
    return socket;
  } catch (thrown) {
    socket.destroy();
    throw refusedCertificate(thrown, location) ?? thrown;
  }
}

/** What OpenSSL and Node say of a certificate that does not pass; everything else is trouble of the network. */
const certificateCodes =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_|ERR_TLS_CERT|ERR_OSSL|ERR_SSL)/;

export function refusedCertificate(thrown: unknown, location: PostgresLocation): FsError | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  if (thrown instanceof FsError || typeof code !== 'string' || !certificateCodes.test(code)) return undefined;
  const { reason, message } = thrown as { reason?: unknown; message?: unknown };
  // OpenSSL's own reason, without the place in its source.
  const text = code.startsWith('ERR_SSL_') && reason !== undefined ? reason : message;
  return fail('refused', `connect to ${location.description}: sslmode=verify-full: ${code}: ${text}`, {
    hint: 'the rule: TLS 1.2 and a certificate of this host; name the authority that signed it with sslrootcert',
  });
}

const isLoopbackAddress = (address: string): boolean => /^(127\.|::1$|::ffff:127\.)/.test(address);

const notLoopback = (host: PostgresHost, socket: Socket): FsError =>
  fail('refused', `connect to ${host.host}: it leads to ${socket.remoteAddress}, clear text is for loopback only`, {
    hint: 'use sslmode=verify-full',
  });

/** The event's first argument; rejects when the socket fails or closes before, or the signal comes. */
function event(socket: Socket, name: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      socket.off(name, onEvent).off('error', onError).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onEvent = (value: unknown): void => done(() => resolve(value));
    const onError = (thrown: unknown): void => done(() => reject(thrown));
    const onClose = (): void => done(() => reject(new Error('the server closed the connection')));
    const onAbort = (): void =>
      done(() => {
        socket.destroy();
        reject(signal.reason);
      });
    socket.on(name, onEvent).on('error', onError).on('close', onClose);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}
