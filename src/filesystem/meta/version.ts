// Client versions as the setting record compares them (spec 3.1). Pure.
export interface Version {
  readonly numbers: readonly [number, number, number];
  /** '' is a release, which ranks above every pre-release. */
  readonly pre: string;
}

/** major.minor.patch[-pre][+build]; the build is ignored. */
export function parseVersion(text: string): Version | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:-([^+]*))?(?:\+.*)?$/.exec(text);
  if (match === null) return undefined;
  return { numbers: [Number(match[1]), Number(match[2]), Number(match[3])], pre: match[4] ?? '' };
}

/** Below 0 when `a` is the older. Pre-releases compare bytewise, so that -A admits all of them. */
export function compareVersions(a: Version, b: Version): number {
  for (const i of [0, 1, 2] as const) if (a.numbers[i] !== b.numbers[i]) return a.numbers[i] - b.numbers[i];
  if (a.pre === b.pre) return 0;
  if (a.pre === '') return 1;
  if (b.pre === '') return -1;
  return Buffer.compare(Buffer.from(a.pre), Buffer.from(b.pre));
}
