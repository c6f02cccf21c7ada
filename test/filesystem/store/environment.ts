// Variables of this process for as long as some work takes; undefined takes one away.
export async function withEnv<T>(
  changed: Readonly<Record<string, string | undefined>>,
  work: () => Promise<T>,
): Promise<T> {
  const before = Object.fromEntries(Object.keys(changed).map((name) => [name, process.env[name]]));
  set(changed);
  try {
    return await work();
  } finally {
    set(before);
  }
}

function set(values: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
