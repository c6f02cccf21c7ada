// Counters of the process as plain numbers, and gauges that are asked when somebody looks. Their text form is written here:
// Prometheus' library takes 8 to 12 MiB, in each of a node's workers. Tests compare it with what the library writes.

export interface Counter {
  inc(by?: number): void;
  readonly value: number;
}

/** How often something was done, and for how long in all. */
export interface Timer {
  add(milliseconds: number): void;
}

interface Label {
  readonly name: string;
  readonly value: string;
}

interface Series {
  readonly help: string;
  readonly label: string | undefined;
  readonly values: Map<string, { value: number }>;
}

const series = new Map<string, Series>();
const gauges = new Map<string, { readonly help: string; readonly read: () => number }>();

/**
 * A counter under `name`; the same arguments answer the same counter. `label` is one name and value from a closed set
 * (metrics with unbounded labels grow for ever).
 */
export function counter(name: string, help: string, label?: Label): Counter {
  let found = series.get(name);
  if (found === undefined) {
    found = { help, label: label?.name, values: new Map() };
    series.set(name, found);
  }
  const { values } = found;
  const key = label?.value ?? '';
  const cell = values.get(key) ?? { value: 0 };
  values.set(key, cell);
  return {
    inc: (by = 1) => {
      cell.value += by;
    },
    get value() {
      return cell.value;
    },
  };
}

/** Two counters, `{name}_total` and `{name}_seconds_total`. */
export function timer(name: string, help: string, label?: Label): Timer {
  const count = counter(`${name}_total`, help, label);
  const seconds = counter(`${name}_seconds_total`, `${help}: time they took`, label);
  return {
    add: (milliseconds) => {
      count.inc();
      seconds.inc(milliseconds / 1000);
    },
  };
}

/** Asked at each look; one of the same name takes its place. */
export function gauge(name: string, help: string, read: () => number): void {
  gauges.set(name, { help, read });
}

const MICROSECONDS_PER_S = 1_000_000;
gauge('pageseal_process_resident_bytes', 'Memory of the process', () => process.memoryUsage.rss());
gauge('pageseal_process_cpu_seconds', 'Processor time of the process so far', () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / MICROSECONDS_PER_S;
});

/** All counters and gauges in Prometheus' text format. */
export async function exposition(): Promise<string> {
  const counted = [...series].map(([name, { help, label, values }]) => {
    const samples = [...values].map(([value, cell]) => sample(name, label, value, cell.value));
    return family(name, 'counter', help, samples);
  });
  const read = [...gauges].map(([name, { help, read }]) =>
    family(name, 'gauge', help, [sample(name, undefined, '', read())]),
  );
  return `${[...counted, ...read].join('\n\n')}\n`;
}

const family = (name: string, type: string, help: string, samples: readonly string[]): string =>
  [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples].join('\n');

function sample(name: string, label: string | undefined, value: string, count: number): string {
  return label === undefined ? `${name} ${count}` : `${name}{${label}="${escaped(value)}"} ${count}`;
}

const escaped = (text: string): string => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"');
