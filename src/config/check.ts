// Text from outside becomes checked objects with zod; what does not fit becomes one bad-input error that names the
// places and never repeats a value, since values may be secrets.
import type { z } from 'zod';
import { fail } from '../base/errors.ts';

/** Parses `input`, or throws bad-input: "storage class: encryption: wanted required or none". */
export function check<T>(schema: z.ZodType<T>, input: unknown, what: string): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const complaints = parsed.error.issues.map((issue) => {
    const place = issue.path.join('.');
    return place === '' ? issue.message : `${place}: ${issue.message}`;
  });
  throw fail('bad-input', `${what}: ${complaints.join('; ')}`);
}
