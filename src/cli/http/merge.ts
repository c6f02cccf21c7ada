// Prometheus' text format of several processes as one: every name once, with the samples of all, each worker's with the label
// `volume`. Workers serve hostile file systems, so of what they say only well-formed lines count, and none that would pass
// for another volume's.

export interface Told {
  readonly volume: string;
  readonly restarts: number;
  /** Nothing when it gave no answer. */
  readonly said: string | undefined;
}

interface Family {
  readonly comments: Map<string, string>;
  readonly samples: string[];
}

/** Of one worker; it has some hundred. */
const MAX_LINES = 2_000;
const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_][a-zA-Z0-9_]*) [ -~]{1,300}$/;
const LABEL = /[a-z_][a-z0-9_]*="[^"\\\n]*"/.source;
const NUMBER = /-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/.source;
const SAMPLE = new RegExp(`^([a-zA-Z_][a-zA-Z0-9_]*)(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (${NUMBER})$`);

export function merged(own: string, told: readonly Told[]): string {
  const families = new Map<string, Family>();
  add(families, own, '');
  for (const { volume, said } of told) if (said !== undefined) add(families, said, labelOf(volume));
  ofEach(families, told, 'pageseal_volume_up gauge', "Whether the volume's worker told its counters", ({ said }) =>
    said === undefined ? 0 : 1,
  );
  ofEach(
    families,
    told,
    'pageseal_volume_worker_restarts_total counter',
    'Workers started anew',
    (one) => one.restarts,
  );
  const lines = [...families.values()].flatMap(({ comments, samples }) =>
    samples.length === 0 ? [] : [...comments.values(), ...samples],
  );
  return `${lines.join('\n')}\n`;
}

/** Our own word on each volume, whatever its worker may have said under that name. */
function ofEach(
  families: Map<string, Family>,
  told: readonly Told[],
  typed: string,
  help: string,
  value: (one: Told) => number,
): void {
  const [name = ''] = typed.split(' ');
  const comments = new Map([
    ['HELP', `# HELP ${name} ${help}`],
    ['TYPE', `# TYPE ${typed}`],
  ]);
  const samples = told.map((one) => `${name}{${labelOf(one.volume)}} ${value(one)}`);
  families.delete(name); // with its place: ours come last
  families.set(name, { comments, samples });
}

function add(families: Map<string, Family>, text: string, label: string): void {
  const familyOf = (name: string): Family => {
    const family = families.get(name) ?? { comments: new Map(), samples: [] };
    families.set(name, family);
    return family;
  };
  for (const line of text.split('\n').slice(0, MAX_LINES)) {
    const [, kind = '', described] = COMMENT.exec(line) ?? [];
    if (described !== undefined) {
      const { comments } = familyOf(described);
      if (!comments.has(kind)) comments.set(kind, line);
      continue;
    }
    const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (name === undefined || /(?:^|,)volume=/.test(labels)) continue;
    const all = [label, labels].filter((part) => part !== '').join();
    familyOf(name).samples.push(`${name}${all === '' ? '' : `{${all}}`} ${value}`);
  }
}

/** Handles of static volumes are any text. */
function labelOf(volume: string): string {
  const escaped = volume.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  return `volume="${escaped}"`;
}
