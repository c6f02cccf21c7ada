// What the demo prints: a line per step with its time, and on a terminal a counter while one runs.

const FIRST_COLUMN = 92;
/** Redrawing costs more than a small file; this is as often as anybody can read. */
const REDRAW_MS = 100;
let drawn = 0;

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

export async function step<T>(text: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  if (process.stdout.isTTY) process.stdout.write(`  ${text}`);
  try {
    return await work();
  } finally {
    const clear = process.stdout.isTTY ? '\r\x1b[K' : '';
    say(`${clear}  ${text.padEnd(FIRST_COLUMN)} ${((performance.now() - start) / 1000).toFixed(1).padStart(5)} s`);
  }
}

/** Also without a terminal something moves: a line at each quarter. */
export function progress(done: number, all: number): void {
  if (process.stdout.isTTY) {
    const now = performance.now();
    if (now - drawn < REDRAW_MS) return;
    drawn = now;
    process.stdout.write(`\r\x1b[K    ${done} of ${all}`);
  } else if (done % Math.ceil(all / 4) === 0) say(`    ${done} of ${all}`);
}
