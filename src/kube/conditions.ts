// Conditions of a status by the API conventions: one per type, and a time that only moves when the status does.
import type { Condition } from './objects.ts';

/** The schema's own bound on messages. */
const MAX_MESSAGE = 4096;

export type NewCondition = Omit<Condition, 'lastTransitionTime'>;

/** `present` with `wanted` in place of the one of its type; the same array when nothing changes. */
export function withCondition(
  present: readonly Condition[],
  wanted: NewCondition,
  now: Date = new Date(),
): readonly Condition[] {
  const bounded = { ...wanted, message: wanted.message.slice(0, MAX_MESSAGE) };
  const old = present.find(({ type }) => type === wanted.type);
  const isSame =
    old !== undefined &&
    (['status', 'reason', 'message', 'observedGeneration'] as const).every((name) => old[name] === bounded[name]);
  if (isSame) return present;
  const lastTransitionTime = old?.status === bounded.status ? old.lastTransitionTime : timeText(now);
  const made: Condition = { ...bounded, lastTransitionTime };
  return old === undefined ? [...present, made] : present.map((each) => (each === old ? made : each));
}

export const withoutCondition = (present: readonly Condition[], type: string): readonly Condition[] =>
  present.some((each) => each.type === type) ? present.filter((each) => each.type !== type) : present;

export const conditionOf = (conditions: readonly Condition[] | undefined, type: string): Condition | undefined =>
  conditions?.find((each) => each.type === type);

export const isTrue = (conditions: readonly Condition[] | undefined, type: string): boolean =>
  conditionOf(conditions, type)?.status === 'True';

/** metav1.Time: whole seconds. */
export const timeText = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z');
/** metav1.MicroTime. */
export const microTimeText = (time: Date): string => time.toISOString().replace(/Z$/, '000Z');
