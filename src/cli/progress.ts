// Progress of long commands, on stderr so that what is printed can be piped: a bar on a terminal, nothing elsewhere.
import type { SingleBar } from 'cli-progress';
import type { OnProgress } from '../base/progress.ts';

export interface Progress {
  readonly on: OnProgress;
  /** Takes the bar away; harmless when there is none. */
  end(): void;
}

/** `what` stands before the bar; `quiet` for --json and --quiet. */
export async function showProgress(what: string, quiet = false): Promise<Progress> {
  if (quiet || !process.stderr.isTTY) return { on: () => undefined, end: () => undefined };
  const { SingleBar, Presets } = (await import('cli-progress')).default;
  const known = `${what} {bar} {value}/{total} {percentage}% {eta_formatted}`;
  const bar: SingleBar = new SingleBar({ format: known, clearOnComplete: true }, Presets.shades_classic);
  const counter: SingleBar = new SingleBar(
    { format: `${what} {value}`, clearOnComplete: true },
    Presets.shades_classic,
  );
  let shown: SingleBar | undefined;
  return {
    on: (done, total) => {
      if (shown === undefined) {
        shown = total === undefined ? counter : bar;
        shown.start(total ?? done, done);
      }
      if (total !== undefined) shown.setTotal(total);
      shown.update(done);
    },
    end: () => shown?.stop(),
  };
}
