// The portable texts of op.ts as PostgreSQL takes them, and values both ways. Every parameter carries its type in the text
// (`$1::int8`): the server then never guesses int4 from a place, and the driver needs no round trip to learn types.
import { Buffer } from 'node:buffer';
import { fail } from '../../base/errors.ts';
import type { SqlValue } from './op.ts';
import { rewriteBytes, withInfix, withoutRowLocks } from './table-names.ts';

/** As the wire has it: texts, bytes in hexadecimal. */
export type WireValue = string | null;

export const wireValue = (value: SqlValue): WireValue =>
  typeof value === 'bigint'
    ? value.toString()
    : typeof value === 'string' || value === null
      ? value
      : `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;

const castOf = (value: SqlValue): string =>
  typeof value === 'bigint' ? '::int8' : typeof value === 'string' ? '::text' : value === null ? '' : '::bytea';

/** One letter for each kind of value. */
const shapeOf = (params: readonly SqlValue[]): string =>
  params
    .map((value) => (typeof value === 'bigint' ? 'i' : typeof value === 'string' ? 's' : value === null ? 'n' : 'b'))
    .join('');

/** What a text is used for. */
export type Use =
  | 'write'
  /** A read within a write transaction: rows may be locked. */
  | 'locking'
  /** In a transaction that may not lock. */
  | 'view';

/** Distinct texts are a few hundred; lists of ids in texts could make more. */
const MAX_TEXTS = 2000;
const FOUND = 'pageseal: other row count: ';

/** Texts of one volume, rewritten once each. */
export class PostgresDialect {
  readonly #infix: string;
  readonly #texts = new Map<string, Map<string, string>>();

  constructor(infix: string) {
    this.#infix = infix;
  }

  text(sql: string, params: readonly SqlValue[], use: Use): string {
    return this.#known(`${use} ${shapeOf(params)}`, sql, () => this.#rewrite(sql, params, use));
  }

  /**
   * The change, failing unless it touches as many rows as its last parameter says. Judged by the server, since COMMIT is
   * sent before any answer is read; which expectation failed is told by whose statement fails.
   */
  counted(sql: string, params: readonly SqlValue[]): string {
    return this.#known(`counted ${shapeOf(params)}`, sql, () => {
      const inner = this.#rewrite(sql, params, 'write');
      const wanted = `$${params.length + 1}::int8`;
      return `WITH changed AS (${inner} RETURNING 1) SELECT CASE WHEN count(*) = ${wanted} THEN 0 ELSE CAST('${FOUND}' || count(*) AS int4) END FROM changed`;
    });
  }

  script(sql: string): string {
    return quoted(withInfix(sql, this.#infix), this.#infix);
  }

  #known(form: string, sql: string, make: () => string): string {
    let forms = this.#texts.get(sql);
    if (forms === undefined) {
      if (this.#texts.size >= MAX_TEXTS) this.#texts.clear();
      forms = new Map();
      this.#texts.set(sql, forms);
    }
    let text = forms.get(form);
    if (text === undefined) {
      text = make();
      forms.set(form, text);
    }
    return text;
  }

  #rewrite(sql: string, params: readonly SqlValue[], use: Use): string {
    const bytes = rewriteBytes(sql, (x) => x);
    const locked = use === 'view' ? withoutRowLocks(bytes) : bytes;
    return numbered(quoted(withInfix(locked, this.#infix), this.#infix), params);
  }
}

/** Whether the server's text says that an expectation of ours failed. */
export const isOtherCount = (message: string): boolean => message.includes(FOUND);

/** Names with capitals must be quoted, or the server folds them. */
const quoted = (sql: string, infix: string): string =>
  /[A-Z]/.test(infix) ? sql.replace(/(?<![\w"'])(?:jfs|pageseal)_\w+/g, '"$&"') : sql;

function numbered(sql: string, params: readonly SqlValue[]): string {
  let n = 0;
  const text = sql.replace(/'[^']*'|\?/g, (found) => {
    if (found !== '?') return found;
    const value = params[n];
    n += 1;
    if (value === undefined) throw fail('internal', `a statement wants more than its ${params.length} values: ${sql}`);
    return `$${n}${castOf(value)}`;
  });
  if (n !== params.length) throw fail('internal', `a statement wants ${n} values, it has ${params.length}: ${sql}`);
  return text;
}
