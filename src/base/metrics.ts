// Counters of the process as plain numbers. The Prometheus library is loaded only when somebody asks for the text form:
// most workers are never scraped, and it costs memory.

export interface Counter {
  inc(by?: number): void;
  readonly value: number;
}

interface Series {
  readonly help: string;
  readonly label: string | undefined;
  readonly values: Map<string, number>;
}

const series = new Map<string, Series>();

/**
 * A counter under `name`; the same arguments answer the same counter. `label` is one name and value from a closed set
 * (metrics with unbounded labels grow for ever).
 */
export function counter(
  name: string,
  help: string,
  label?: { readonly name: string; readonly value: string },
): Counter {
  let found = series.get(name);
  if (found === undefined) {
    found = { help, label: label?.name, values: new Map() };
    series.set(name, found);
  }
  const { values } = found;
  const key = label?.value ?? '';
  if (!values.has(key)) values.set(key, 0);
  return {
    inc: (by = 1) => void values.set(key, (values.get(key) ?? 0) + by),
    get value() {
      return values.get(key) ?? 0;
    },
  };
}

/** All counters in Prometheus' text format. */
export async function exposition(): Promise<string> {
  const prom = await import('prom-client');
  const registry = new prom.Registry();
  for (const [name, { help, label, values }] of series) {
    const metric = new prom.Counter({
      name,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [registry],
    });
    for (const [value, count] of values) {
      if (label === undefined) metric.inc(count);
      else metric.inc({ [label]: value }, count);
    }
  }
  return registry.metrics();
}
