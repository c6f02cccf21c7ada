// What the API server says when it refuses, in our codes. The server's own words stay in the cause, so that who waits for
// "Expired" or "AlreadyExists" can tell.
import { type ErrorCode, FsError, fail } from '../base/errors.ts';

/** The cause of every refusal. */
export class ApiRefusal extends Error {
  readonly status: number;
  readonly reason: string;
  /** What the server asks to wait. */
  readonly retryAfterMs: number;

  constructor(status: number, reason: string, message: string, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

const codes: Readonly<Record<number, ErrorCode>> = {
  400: 'bad-input',
  401: 'unauthenticated',
  403: 'permission-denied',
  404: 'not-found',
  409: 'conflict',
  410: 'not-found',
  413: 'bad-input',
  415: 'unsupported',
  422: 'bad-input',
};
/** Admission answers quote what was sent; more is of no use to a reader. */
const MAX_MESSAGE = 2000;

interface Status {
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
  readonly details?: { readonly retryAfterSeconds?: number };
}

/** `body` is a Status object, or whatever stood in front of the server. */
export function refusalOf(status: number, body: string, what: string, retryAfter?: string): FsError {
  const parsed = parse(body);
  const seconds = Number(retryAfter ?? parsed.details?.retryAfterSeconds ?? 0);
  const refusal = new ApiRefusal(
    status,
    parsed.reason ?? '',
    parsed.message ?? '',
    Number.isFinite(seconds) ? seconds * 1000 : 0,
  );
  const said = (parsed.message ?? `status ${status}`).slice(0, MAX_MESSAGE);
  return fail(codes[status] ?? 'cluster-unavailable', `${what}: ${said}`, { cause: refusal });
}

function parse(body: string): Status {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

export const refusalIn = (thrown: unknown): ApiRefusal | undefined =>
  thrown instanceof FsError && thrown.cause instanceof ApiRefusal ? thrown.cause : undefined;

/** Somebody wrote the object first, or made it first. */
export const isConflict = (thrown: unknown): boolean => refusalIn(thrown)?.status === 409;
export const isMissing = (thrown: unknown): boolean => refusalIn(thrown)?.status === 404;
/** The point from which a watch was to go on is no longer known. */
export const isExpired = (thrown: unknown): boolean => refusalIn(thrown)?.status === 410;
