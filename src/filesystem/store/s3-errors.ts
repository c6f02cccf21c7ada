// What an S3 server or the way to it answered, as an FsError. Its own error objects end here: some carry the text that was
// signed, or an access key.
import { type ErrorCode, FsError, fail } from '../../base/errors.ts';

interface Answered {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly Code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
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
const wrongKeys = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidToken',
  'ExpiredToken',
  'ExpiredTokenException',
]);
const again = new Set([
  'BadDigest',
  'IncompleteBody',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'XAmzContentSHA256Mismatch',
]);
/** Node's and OpenSSL's names for a peer that did not prove who it is. */
const untrusted =
  /^(UNABLE_TO_|CERT_|ERR_TLS_|SELF_SIGNED_|DEPTH_ZERO_|ERR_SSL_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;

export function translate(attempt: Attempt, thrown: unknown): FsError {
  if (thrown instanceof FsError) return thrown;
  const { what, object, description } = attempt;
  const answered = thrown as Answered;
  const status = answered.$metadata?.httpStatusCode;
  // HEAD answers have no body, so no code: the SDK names such errors by their status, or not at all.
  const name = answered.Code ?? answered.name ?? '';
  if (name === 'AbortError' && attempt.signal?.aborted) return fail('cancelled', `${what} ${object}: cancelled`);
  const code = codeOf(what, name, status, answered.code ?? '');
  const text = code === 'object-missing' ? 'not in the store' : said(answered, status);
  return fail(code, `${what} ${object}: ${text} (${description})`, { cause: slim(answered, status), ...hintFor(code) });
}

function codeOf(what: Attempt['what'], name: string, status: number | undefined, system: string): ErrorCode {
  if (untrusted.test(system)) return 'refused';
  if (status === undefined) return name === 'CredentialsProviderError' ? 'unauthenticated' : 'store-unavailable';
  if (again.has(name) || name === 'NoSuchBucket') return 'store-unavailable';
  if ((what === 'get' || what === 'head') && (missing.has(name) || status === 404)) return 'object-missing';
  if (full.has(name) || status === 507) return 'store-full';
  if (wrongKeys.has(name) || status === 401) return 'unauthenticated';
  if (status === 403) return 'permission-denied';
  if (status === 429 || status === 408 || name === 'SlowDown') return 'store-unavailable';
  if (status === 501) return 'unsupported';
  return status >= 500 || status < 400 ? 'store-unavailable' : 'EIO';
}

function said({ name = '', Code, message = '', code, $metadata }: Answered, status: number | undefined): string {
  if (status === undefined)
    return code !== undefined && !message.includes(code) ? `${message} (${code})` : message || name;
  const request = $metadata?.requestId === undefined ? '' : `, request ${$metadata.requestId.split(',')[0]}`;
  const words = message === '' || message === 'UnknownError' ? '' : ` ${message}`;
  return `the store answered ${status} ${Code ?? name}${words}${request}`;
}

function hintFor(code: ErrorCode): { readonly hint?: string } {
  if (code === 'refused')
    return { hint: 'the rule: TLS with a trusted certificate for this host; name an own authority by --ca-bundle' };
  if (code === 'unauthenticated')
    return { hint: 'are access key, secret key and session token right and not expired?' };
  if (code === 'permission-denied') return { hint: 'may these credentials do this on this bucket?' };
  return {};
}

function slim({ name = 'Error', message = '' }: Answered, status: number | undefined): Error {
  return Object.assign(new Error(message), { name, ...(status !== undefined && { status }) });
}
