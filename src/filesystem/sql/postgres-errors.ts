// What PostgreSQL and its driver say, in our codes. Knows SQLSTATEs, no statements. Nothing of a thrown error but its
// code and its main message goes on: the driver hangs the statement's values on it, the server the key's.
import { type ErrorCode, type FsError, fail } from '../../base/errors.ts';

/** What is known of a failure. */
export interface Trouble {
  /** SQLSTATE, errno or the driver's own word. */
  readonly code: string;
  readonly message: string;
  /**
   * conflict: others were in the way, the same again may work at once. connection: the server could not be reached or
   * went away. final: the same again ends the same.
   */
  readonly kind: 'conflict' | 'connection' | 'final';
  /** The server said so, hence it goes on or has ended the transaction. */
  readonly answered: boolean;
}

/** Serialization, deadlock, duplicate key, aborted transaction, lock not had, the same tables made by somebody else. */
const conflicts = new Set(['40001', '40P01', '23505', '25P02', '55P03', '42P07', '42710']);
/**
 * Shutting down, starting up, too many connections, a standby where the primary was, a session ended by its time limit,
 * a statement that took too long.
 */
const connections = new Set(['57P01', '57P02', '57P03', '57P05', '53300', '25006', '25P03', '25P04', '57014']);
const errnos = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'EHOSTDOWN', 'ECONNABORTED',
  'EAI_AGAIN', 'ENOTFOUND', 'ENOENT', 'EADDRNOTAVAIL', 'CONNECTION_CLOSED', 'CONNECTION_DESTROYED', 'CONNECTION_ENDED',
  'CONNECT_TIMEOUT', 'LOST', 'UNSENT',
]); // biome-ignore format: a table reads better than a column

/** After another client has changed a table; planned anew on a new connection. */
const isStalePlan = (message: string): boolean => message.includes('cached plan');

/** A TLS record that does not open, for instance. */
const ofTransport = /^ERR_(SSL|TLS|STREAM|SOCKET)/;

function kindOf(code: string, message: string): Trouble['kind'] {
  if (conflicts.has(code) || isStalePlan(message)) return 'conflict';
  return connections.has(code) ||
    errnos.has(code) ||
    (code.startsWith('08') && code !== '08P01') ||
    ofTransport.test(code)
    ? 'connection'
    : 'final';
}

export function troubleOf(thrown: unknown): Trouble {
  const { code, severity } = (thrown ?? {}) as { code?: unknown; severity?: unknown };
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const known = typeof code === 'string' ? code : 'unknown';
  return { code: known, message, kind: kindOf(known, message), answered: severity !== undefined };
}

/** Whatever was sent may have been done. */
export const lost = (message: string): Trouble => ({ code: 'LOST', message, kind: 'connection', answered: false });
/** Of a connection that was gone before anything was sent. */
export const unsent: Trouble = {
  code: 'UNSENT',
  message: 'the connection is gone',
  kind: 'connection',
  answered: true,
};

const codes: Readonly<Record<string, ErrorCode>> = {
  '22003': 'EINVAL', // an owner above 2^31 - 1 where the column is an INTEGER, as the original client makes it
  '22021': 'EINVAL', // NUL in a text
  '42P01': 'metadata-damaged',
  '42703': 'metadata-damaged',
  '26000': 'unsupported', // a prepared statement went with a pooler's connection
  '42P05': 'unsupported',
  '08P01': 'unsupported',
  '53100': 'ENOSPC',
  '53400': 'ENOSPC',
  SASL_SIGNATURE_MISMATCH: 'refused', // whoever answers does not know the password
};
const classes: Readonly<Record<string, ErrorCode>> = {
  '08': 'metadata-unavailable',
  '23': 'metadata-damaged',
  '25': 'metadata-unavailable',
  '28': 'metadata-unavailable',
  '3D': 'metadata-unavailable',
  '3F': 'metadata-unavailable',
  '40': 'metadata-unavailable',
  '42': 'internal',
  '53': 'metadata-unavailable',
  '54': 'internal',
  '55': 'metadata-unavailable',
  '57': 'metadata-unavailable',
  '58': 'metadata-unavailable',
  XX: 'metadata-damaged',
};

function codeOf({ code, message, kind }: Trouble): ErrorCode {
  // Without the record's table there is no volume.
  if (code === '42P01' && /"jfs_(?:\w+_)?setting"/.test(message)) return 'not-formatted';
  if (kind === 'connection') return 'metadata-unavailable';
  return codes[code] ?? classes[code.slice(0, 2)] ?? 'internal';
}

const hints: Readonly<Record<string, string>> = {
  '26000':
    'a pooler between has to keep prepared statements (pgbouncer: max_prepared_statements), or connect without it',
  '42P05':
    'a pooler between has to keep prepared statements (pgbouncer: max_prepared_statements), or connect without it',
  '08P01': 'a pooler between has to let settings through, or connect without it',
  '22003': 'owners above 2147483647 do not fit the columns of the original client',
  '42501': 'the user needs all rights on the tables of its schema',
  '28000': 'who has to show a certificate names it and its key with sslcert and sslkey',
  '28P01': 'the password comes from the url, META_PASSWORD or META_PASSWORD_FILE',
};

export function fromTrouble(trouble: Trouble, attempted: string): FsError {
  const hint = hints[trouble.code];
  const cause = new Error(`${trouble.code}: ${trouble.message}`);
  return fail(codeOf(trouble), `${attempted}: ${trouble.message}`, { cause, ...(hint === undefined ? {} : { hint }) });
}
