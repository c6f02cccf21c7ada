// How much every test does, in one place: short for `npm test`, long for `npm run test:long`.

const long = process.env['PAGESEAL_LONG'] === '1';
const size = (short: number, atLength: number): number => (long ? atLength : short);

export const sizes = {
  /** Cases of a property test (fast-check runs). */
  propertyRuns: size(100, 5_000),
  /** Times a worker is killed in the middle of a copy. */
  kills: size(5, 100),
} as const;
