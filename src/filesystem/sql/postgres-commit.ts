// Whether a transaction was committed whose connection was lost before the server's answer: asked on another connection.
import type { PostgresConnection, Statement } from './postgres-connection.ts';
import { Failed, type TransactionNumber } from './postgres-transaction.ts';

const statement = (text: string, number: bigint): Statement => ({ text, params: [number.toString()], prepared: true });

/** NULL for what is so long ago that the server forgot; ours is seconds old. */
const STATUS = 'SELECT txid_status($1::int8)';
/** It waits for a client that is gone: its locks would be in the way of the next attempt, too. */
const END =
  'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid::text = ($1::int8 & 4294967295)::text';
/** After a fail-over to a server that has not heard of it: "transaction ID is in the future". */
const UNKNOWN = '22023';

type Fate = 'committed' | 'aborted' | 'in progress' | 'unknown';

/**
 * A server that crashed gives numbers out again that had not reached its disk, so what it says of another life's
 * transaction may be about somebody else's; only that it was not committed is true of both.
 */
export async function fateOf(connection: PostgresConnection, { number, life }: TransactionNumber): Promise<Fate> {
  const [outcome] = await connection.fly([statement(STATUS, number)]);
  if (outcome === undefined) return 'in progress';
  if ('trouble' in outcome) {
    if (outcome.trouble.code === UNKNOWN) return 'aborted';
    throw new Failed(outcome.trouble);
  }
  const fate = outcome.answer.rows[0]?.[0];
  if (fate === 'aborted') return fate;
  if (life === undefined || life !== connection.life) return 'unknown';
  if (fate === 'committed') return fate;
  await connection.fly([statement(END, number)]);
  return 'in progress';
}
