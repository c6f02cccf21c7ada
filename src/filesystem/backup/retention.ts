// Which backups stay, by the original client's rule: all of two days, then one of each day up to two weeks, one of each
// week up to two months, one of every thirty days before. The oldest of a stretch stays. Pure.

const DAY_MS = 86_400_000;
const name = /^dump-(\d{4})-(\d{2})-(\d{2})-(\d{2})(\d{2})(\d{2})\.json\.gz$/;

/** dump-2026-01-02-030405.json.gz, UTC. */
export function backupName(at: Date): string {
  const [date = '', time = ''] = at.toISOString().split('T');
  return `dump-${date}-${time.slice(0, 8).replaceAll(':', '')}.json.gz`;
}

/** Milliseconds since the epoch, or undefined for what is no backup. */
export function backupTime(file: string): number | undefined {
  const [, ...parts] = name.exec(file) ?? [];
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.map(Number);
  const time = Date.UTC(year, month - 1, day, hour, minute, second);
  return parts.length > 0 && backupName(new Date(time)) === file ? time : undefined;
}

/** Days before now at which a stretch ends: 2, 3 .. 14, 21 .. 63, 93 and so on. */
function stretchOf(days: number): number {
  let end = 2;
  while (end < days) end += end < 14 ? 1 : end < 60 ? 7 : 30;
  return end;
}

/** Of names below meta/, those to be deleted; what is no backup is never among them. */
export function superfluous(files: readonly string[], now: number): string[] {
  const kept = new Map<number, { readonly file: string; readonly time: number }>();
  const gone: string[] = [];
  for (const file of files) {
    const time = backupTime(file);
    if (time === undefined || now - time <= 2 * DAY_MS) continue;
    const stretch = stretchOf((now - time) / DAY_MS);
    const other = kept.get(stretch);
    if (other === undefined) kept.set(stretch, { file, time });
    else if (time < other.time) {
      gone.push(other.file);
      kept.set(stretch, { file, time });
    } else gone.push(file);
  }
  return gone;
}
