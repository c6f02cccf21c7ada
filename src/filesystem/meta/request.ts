// Answers to requests that may be asked again. When a worker dies, the kernel sends its requests to the successor, which
// cannot know whether the first one had committed. So every operation that cannot be repeated leaves its answer in
// pageseal_request in its own transaction, and a resent request looks there first. A slot is overwritten by the 2048th
// request after it: far more than a kernel keeps in flight.
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { fail } from '../../base/errors.ts';
import type { RequestId } from '../../base/words.ts';
import {
  type Attempt,
  type Change,
  change,
  must,
  type Op,
  query,
  read,
  type SqlValue,
  withChanges,
} from '../sql/op.ts';
import { attrParams, bytesAt, decodeAttr } from './rows.ts';
import type { Attr } from './types.ts';
import type { UsageDelta } from './usage-rows.ts';

/** Slots per kernel connection. Ids of requests are even (odd ones are notifications), so they are halved first. */
const SLOTS = 4096n;

/** Turns an answer into bytes and back; exact for 64-bit numbers. */
export interface Reply<R> {
  encode(answer: R): Buffer;
  decode(bytes: Buffer): R;
}

/** What an operation gives back: the caller's answer, and what is to be done in memory once it is committed. */
export interface Outcome<R> {
  readonly answer: R;
  /** What it changes in the usage figures; written with it, and counted once. */
  readonly usage?: readonly UsageDelta[];
  /** Not called for an answer that was found in the request table: its first run did it. */
  readonly after?: () => void;
}

export const emptyReply: Reply<void> = { encode: () => Buffer.alloc(0), decode: () => undefined };

/** The columns of the node row in decimal: a few dozen bytes, and old rows decode whatever the writer's version. */
export const attrReply: Reply<Attr> = {
  encode: (attr) => Buffer.from(attrParams(attr).join(' '), 'latin1'),
  decode: (bytes) => decodeAttr(bytes.toString('latin1').split(' ').map(BigInt) satisfies SqlValue[]),
};

/** An answer of two states around an Attr, for create. */
export const createReply: Reply<{ readonly attr: Attr; readonly created: boolean }> = {
  encode: ({ attr, created }) => Buffer.concat([Buffer.from([created ? 1 : 0]), attrReply.encode(attr)]),
  decode: (bytes) => ({ attr: attrReply.decode(bytes.subarray(1)), created: bytes[0] === 1 }),
};

const slotOf = (request: RequestId): bigint => (request.unique / 2n) % SLOTS;

const stored = (request: RequestId) =>
  query(
    'SELECT BYTES(reply) FROM pageseal_request WHERE mount = ? AND slot = ? AND "unique" = ?',
    [request.mount, slotOf(request), request.unique],
    (row) => bytesAt(row, 0),
  );

const STORE =
  'INSERT INTO pageseal_request (mount, slot, "unique", reply, sid) VALUES (?, ?, ?, ?, ?) ON CONFLICT (mount, slot) DO UPDATE SET "unique" = excluded."unique", reply = excluded.reply, sid = excluded.sid';

const store = (request: RequestId, sid: bigint, reply: Buffer): Change =>
  change(STORE, request.mount, slotOf(request), request.unique, reply, sid);

/** Waits for an earlier run of the request that is still being committed, and then fails: its answer is there. */
const storeOnce = (request: RequestId, sid: bigint, reply: Buffer): Change =>
  must(
    1,
    change(
      `${STORE} WHERE pageseal_request."unique" <> excluded."unique"`,
      ...[request.mount, slotOf(request), request.unique, reply, sid],
    ),
    () => fail('EAGAIN', `request ${request.unique}: an earlier run of it was committed meanwhile`),
  );

export const moveRequests = (from: bigint, to: bigint): Change =>
  change('UPDATE pageseal_request SET sid = ? WHERE sid = ?', to, from);

export const deleteRequests = (sid: bigint): Change => change('DELETE FROM pageseal_request WHERE sid = ?', sid);

/**
 * Identities for operations that no kernel asked for, or one that never asks again: where the network may lose the answer
 * to a commit, those need one as well.
 */
export function ownRequests(): () => RequestId {
  const mount = randomBytes(8).readBigUInt64BE() >> 1n;
  let unique = 0n;
  return () => {
    unique += 2n;
    return { mount, unique, resent: false };
  };
}

/**
 * The operation under its request's identity. An operation that ends without a write changed nothing, so it may run
 * again and leaves no row; so may one that failed. After a connection that was lost at commit the row tells, too, and
 * then what is to be done in memory is still to be done.
 */
export function underRequest<R>(
  request: RequestId,
  sid: () => bigint,
  reply: Reply<R>,
  operation: () => Op<Outcome<R>>,
): (attempt: Attempt) => Op<Outcome<R>> {
  let sent: Outcome<R> | undefined;
  return function* ({ ambiguous }) {
    const again = request.resent || ambiguous;
    if (again) {
      const [[answer]] = yield* read(stored(request));
      if (answer !== undefined) return { ...sent, answer: reply.decode(answer) };
    }
    return yield* withChanges(operation, (outcome) => {
      sent = outcome;
      return [(again ? storeOnce : store)(request, sid(), reply.encode(outcome.answer))];
    });
  };
}
