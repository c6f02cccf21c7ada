// How much every test does, in one place: short for `npm test`, long for `npm run test:long`.

const long = process.env['PAGESEAL_LONG'] === '1';
const size = (short: number, atLength: number): number => (long ? atLength : short);

export const sizes = {
  /** Random operations of the model against a mount or a vfs. */
  modelSteps: size(2_000, 50_000),
  /** fsx operations on one file. */
  fsxOperations: size(20_000, 1_000_000),
  /** Cases of a property test (fast-check runs). */
  propertyRuns: size(100, 5_000),
  /** Times a worker is killed in the middle of a copy. */
  kills: size(5, 100),
  /** Files of a tree that is copied for a crash or interop test. */
  treeFiles: size(200, 5_000),
} as const;
