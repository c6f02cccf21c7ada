// How much every test does, in one place: short for `npm test`, long for `npm run test:long`.

const long = process.env['PAGESEAL_LONG'] === '1';
const size = (short: number, atLength: number): number => (long ? atLength : short);
/** Where each operation is a matter of two servers, the second pass over the same tests does less of it. */
const [half, quarter] = process.env['PAGESEAL_BACKEND'] === 'scaled' ? [1 / 2, 1 / 4] : [1, 1];

export const sizes = {
  /** Cases of a property test (fast-check runs). */
  propertyRuns: size(100, 5_000),
  /** Orders of a random run on mounts, against the reference model. */
  modelSteps: size(2_000, 100_000) * half,
  /** The same on mounts of several machines, with PostgreSQL and S3; half of it on twice as many machines. */
  remoteSteps: size(800, 20_000),
  /** Times a worker is killed in the middle of a copy. */
  kills: size(5, 100),
  /** Points of a scenario at which a process is killed. */
  killPoints: size(8, 100_000) * quarter,
  /** Operations, appends and moves of directories by each of a dozen workers that meet at the same names. */
  contendedSteps: size(150, 8_000),
  contendedAppends: size(40, 1_000),
  contendedMoves: size(60, 2_000),
  /** Programs on a mount: whether git gets most of node_modules, SQLite's transactions per process, pgbench, C sources. */
  wholeRepository: long,
  transactions: size(25, 2_000),
  pgbenchScale: size(1, 10),
  pgbenchTransactions: size(100, 5_000),
  sources: size(40, 1_000),
  /** Calls on the regions of two files: copies, holes, seeks. */
  regionCalls: size(1_500, 100_000) * quarter,
  /** Dumps with some bytes changed. */
  damagedDumps: size(60, 4_000),
  /** Random trees through dump and load of both clients. */
  dumpedTrees: size(1, 40),
  /** Operations of fsx, over all mounts; the environment may ask for as many as there is time for. */
  fsxOperations: Number(process.env['PAGESEAL_FSX_OPERATIONS'] ?? size(20_000, 4_000_000) * quarter),
  /** Rounds of writing while both clients compact. */
  compactionRounds: size(60, 2_000),
  /** How long each outage of a mount's store, database or network lasts, and how often all of them come. */
  outageMs: size(1_500, 60_000),
  outageRounds: size(1, 5),
  /** Times that a client comes while encryption is being turned on. */
  conversionRaces: size(40, 3_000) * quarter,
  /** The same with a mount of each client; a round takes ten seconds. */
  mountRaces: size(6, 200) * half,
  /** Operations on a volume with quotas, by two clients, accounts looked at after each. */
  quotaOperations: size(300, 4_000),
  /** The same by two mounts of ours and one of the original client, each. */
  quotaMix: size(150, 5_000),
} as const;
