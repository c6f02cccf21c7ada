// What an S3 server or the way to it answered, as an FsError. Its own error objects end here: some carry the text that was
// signed, or an access key.
import { type ErrorCode, FsError, fail } from '../../base/errors.ts';

interface Answered {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly Code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

export interface Attempt {
  readonly what: 'get' | 'put' | 'delete' | 'head' | 'list' | 'open';
  /** Key, prefix or bucket. */
  readonly object: string;
  /** Of the store. */
  readonly description: string;
  /** The caller's own, to tell its end from a time limit. */
  readonly signal?: AbortSignal | undefined;
}

const missing = new Set(['NoSuchKey', 'NotFound']);
const full = new Set(['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull', 'StorageFull', 'EntityTooLarge']);
const expired = new Set(['ExpiredToken', 'ExpiredTokenException', 'InvalidToken', 'TokenRefreshRequired']);
const wrongKeys = new Set([
  ...expired,
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidSecurity',
  // versitygw, with status 404: an object is not missing for that.
  'XAdminUserNotFound',
]);
/** Answered with 4xx, and another attempt may well succeed; with a wrong clock, one whose time the SDK has corrected. */
const again = new Set([
  'BadDigest',
  'IncompleteBody',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'XAmzContentSHA256Mismatch',
  'ConditionalRequestConflict',
  'OperationAborted',
  'NoSuchBucket',
]);
/** Node's and OpenSSL's names for a peer that did not prove who it is, or did not speak TLS as it must. */
const untrusted =
  /^(UNABLE_TO_|CERT_|ERR_TLS_|SELF_SIGNED_|DEPTH_ZERO_|ERR_SSL_|EPROTO$|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;
/** Servers refuse signatures of another time; S3's own bound is 15 minutes. */
const SKEW_MS = 10 * 60_000;

export const statusOf = (thrown: unknown): number | undefined => (thrown as Answered).$metadata?.httpStatusCode;

/** The code in an answer's body. HEAD answers have no body: the SDK names such errors by their status, or not at all. */
export const nameOf = (thrown: unknown): string => (thrown as Answered).Code ?? (thrown as Answered).name ?? '';

export const header = (thrown: unknown, name: string): string | undefined =>
  (thrown as Answered).$response?.headers?.[name];

/** The region an answer says the bucket is in. */
export const regionIn = (thrown: unknown): string | undefined =>
  header(thrown, 'x-amz-bucket-region') ?? (thrown as Answered).Region;

export const isExpired = (thrown: unknown): boolean => expired.has(nameOf(thrown));

export function translate(attempt: Attempt, thrown: unknown): FsError {
  if (thrown instanceof FsError) return thrown;
  const { what, object, description } = attempt;
  if (nameOf(thrown) === 'AbortError' && attempt.signal?.aborted)
    return fail('cancelled', `${what} ${object}: cancelled`);
  const skew = skewOf(thrown);
  const code = skew === undefined ? codeOf(what, thrown) : 'store-unavailable';
  const text = skew ?? (code === 'object-missing' ? 'not in the store' : said(thrown as Answered));
  return fail(code, `${what} ${object}: ${text} (${description})`, { cause: slim(thrown), ...hintFor(code, thrown) });
}

function codeOf(what: Attempt['what'], thrown: unknown): ErrorCode {
  const status = statusOf(thrown);
  const name = nameOf(thrown);
  const system = (thrown as Answered).code;
  if (system !== undefined && untrusted.test(system)) return 'refused';
  if (status === undefined) return codeWithoutAnswer(name, system);
  if (again.has(name)) return 'store-unavailable';
  if (wrongKeys.has(name) || status === 401) return 'unauthenticated';
  if ((what === 'get' || what === 'head') && (missing.has(name) || status === 404)) return 'object-missing';
  if (full.has(name) || status === 507) return 'store-full';
  if (status === 403) return 'permission-denied';
  if (status === 412) return 'conflict';
  if (status === 501) return 'unsupported';
  if (status === 429 || status === 408 || name === 'SlowDown' || name === 'Throttling') return 'store-unavailable';
  return status >= 500 || status < 300 ? 'store-unavailable' : 'EIO';
}

function codeWithoutAnswer(name: string, system: string | undefined): ErrorCode {
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') return 'unauthenticated';
  return system !== undefined || name === 'TimeoutError' || name === 'AbortError' ? 'store-unavailable' : 'internal';
}

function said(answered: Answered): string {
  const { code, $metadata } = answered;
  const name = nameOf(answered);
  // OpenSSL's own reason, without the place in its source.
  const { message: whole = '' } = /^ERR_SSL_/.test(code ?? '') ? { message: answered.reason } : answered;
  // Node's advice is for who starts Node.
  const message = whole.replace(/; if the root CA is installed locally.*/s, '');
  if ($metadata?.httpStatusCode === undefined)
    return code !== undefined && !message.includes(code) ? `${message} (${code})` : message || name;
  const request = $metadata.requestId === undefined ? '' : `, request ${$metadata.requestId.split(',')[0]}`;
  const words = message === '' || message === 'UnknownError' ? '' : ` ${message}`;
  const named = name === '' || name === 'Unknown' ? '' : ` ${name}`;
  return `the store answered ${$metadata.httpStatusCode}${named}${words}${request}`;
}

/** A refusal that comes with a clock far from ours. */
function skewOf(thrown: unknown): string | undefined {
  const skewed = nameOf(thrown) === 'RequestTimeTooSkewed';
  if (!skewed && statusOf(thrown) !== 403) return undefined;
  const theirs = Date.parse(header(thrown, 'date') ?? '');
  const apart = Number.isNaN(theirs) ? 0 : Date.now() - theirs;
  if (!skewed && Math.abs(apart) < SKEW_MS) return undefined;
  const minutes = Math.round(Math.abs(apart) / 60_000);
  return `this machine's clock is ${minutes} minutes ${apart < 0 ? 'behind' : 'ahead of'} the store's`;
}

function hintFor(code: ErrorCode, thrown: unknown): { readonly hint?: string } {
  switch (code) {
    case 'refused':
      if (/_ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)$/.test((thrown as Answered).code ?? ''))
        return {
          hint: 'the server may want to see a client certificate: client-certificate and client-key in the Secret',
        };
      return { hint: 'the rule: TLS 1.2 and a trusted certificate of this host; name an own authority by --ca-bundle' };
    case 'unauthenticated':
      return { hint: 'are access key, secret key and session token right, and not expired?' };
    case 'permission-denied':
      return { hint: 'may these credentials do this on this bucket?' };
    default:
      return {};
  }
}

function slim(thrown: unknown): Error {
  const { name = 'Error', message = '' } = thrown as Answered;
  return Object.assign(new Error(message), {
    name,
    status: statusOf(thrown),
    retryAfter: header(thrown, 'retry-after'),
  });
}

/** Whether an answer says that the server does not know what was asked, in the words of several makers. */
export function isUnsupported(thrown: unknown): boolean {
  const status = statusOf(thrown);
  const words = new Set([
    'NotImplemented',
    'InvalidArgument',
    'InvalidRequest',
    'MethodNotAllowed',
    'UnsupportedArgument',
  ]);
  return status === 501 || status === 405 || (status === 400 && words.has(nameOf(thrown)));
}
