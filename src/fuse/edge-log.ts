// Log lines for what ends in an errno: the kernel's side is where such errors are handled, and an errno says too little.
// Answers of POSIX (ENOENT and its like) are no news. The same line is not repeated for a while.
import { errnoOf } from '../base/errno.ts';
import { FsError, isErrnoCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { Errno } from './protocol.ts';

const SILENT_MS = 10_000;
/** Different lines remembered; beyond, all are forgotten and may come once more. */
const MAX_LINES = 256;

export class EdgeLog {
  readonly #log: Log;
  readonly #until = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Answers the errno for the reply. */
  failed(operation: string, node: bigint, thrown: unknown): number {
    const errno = errnoOf(thrown);
    const unexpected = !(thrown instanceof FsError);
    const error = FsError.from(thrown, operation);
    const news = unexpected || errno === Errno.EIO || !isErrnoCode(error.code);
    if (!news || !this.#fresh(`${operation} ${error.code} ${error.message}`)) return errno;
    const fields = { operation, node, code: error.code, error: error.message, errno };
    if (unexpected && thrown instanceof Error)
      this.#log.error('unexpected exception', { ...fields, stack: thrown.stack });
    else this.#log.warn('request failed', fields);
    return errno;
  }

  once(message: string, fields: Record<string, string | number>): void {
    if (this.#fresh(`${message} ${JSON.stringify(fields)}`)) this.#log.warn(message, fields);
  }

  #fresh(line: string): boolean {
    const now = performance.now();
    if ((this.#until.get(line) ?? 0) > now) return false;
    if (this.#until.size >= MAX_LINES) this.#until.clear();
    this.#until.set(line, now + SILENT_MS);
    return true;
  }
}
