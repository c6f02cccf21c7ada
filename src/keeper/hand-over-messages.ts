// What a keeper and whoever holds its descriptors say to each other, one JSON object per packet. Never a secret: those lie
// in the state memfd, which the holder keeps unread. A kind that is not known is left out, so that either side may be newer.
import { z } from 'zod';
import { fail } from '../base/errors.ts';

/** Of the meaning of these messages. Who speaks another one is no partner. */
export const HAND_OVER_VERSION = 1;
/** What a node has is bounded by its pods, a few hundred; more is a mistake. */
export const MAX_VOLUMES = 4096;
/** The kernel connection's /dev/fuse, and the state memfd. */
export const FDS_OF_A_VOLUME = 2;
/** Of a deadline that a keeper names: more is a mistake, and callers that wait cannot be killed. */
const LONGEST_DEADLINE_MS = 3_600_000;

const volumeId = z.string().min(1).max(1024);
/** Random number of the kernel connection: the same volume mounted again has another one. */
const connectionId = z.string().regex(/^\d{1,20}$/);
const volume = { volumeId, connectionId };
/** JSON of record.ts; for who holds it a text like any other. */
const record = z.string();

const hello = z.object({ kind: z.literal('hello'), version: z.number() });

const keeperSays = z.discriminatedUnion('kind', [
  hello.extend({ recoveryDeadlineMs: z.number().int().min(1).max(LONGEST_DEADLINE_MS) }),
  /** Keep these; with both descriptors. */
  z.object({ kind: z.literal('hold'), ...volume, record }),
  /** A worker answers again. */
  z.object({ kind: z.literal('serving'), ...volume }),
  /** Its serving is over: close them. */
  z.object({ kind: z.literal('release'), ...volume }),
  /** No keeper serves it any more, and its mounts still stand. */
  z.object({ kind: z.literal('lost'), volumeId, why: z.string() }),
]);

const holderSays = z.discriminatedUnion('kind', [
  hello,
  /** With both descriptors. */
  z.object({ kind: z.literal('offer'), ...volume, record }),
  /** That was all. */
  z.object({ kind: z.literal('offered') }),
  /** No keeper served it in time, or there are too many: closed. */
  z.object({ kind: z.literal('dropped'), ...volume }),
]);

export type KeeperSays = z.infer<typeof keeperSays>;
export type HolderSays = z.infer<typeof holderSays>;

/** undefined: of a kind that came later. Throws `bad-input`. */
export const parseKeeperSays = (data: Buffer): KeeperSays | undefined => parse(keeperSays, data);
export const parseHolderSays = (data: Buffer): HolderSays | undefined => parse(holderSays, data);

function parse<T>(
  schema: z.ZodType<T> & { readonly options: readonly { shape: { kind: z.ZodLiteral } }[] },
  data: Buffer,
): T | undefined {
  const message = jsonOf(data);
  const kind = (message as { kind?: unknown } | null)?.kind;
  if (typeof kind === 'string' && !schema.options.some(({ shape }) => shape.kind.value === kind)) return undefined;
  const parsed = schema.safeParse(message);
  if (parsed.success) return parsed.data;
  throw fail('bad-input', `hand-over: message of ${data.length} bytes is not understood`);
}

function jsonOf(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString());
  } catch {
    return undefined;
  }
}
