// A logger that keeps its lines for a test to look at.
import type { Fields, Log } from '../../../src/base/log.ts';

export function collectingLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const line = (message: string, fields?: Fields): void => {
    lines.push(`${message} ${JSON.stringify(fields, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}`);
  };
  const log: Log = { error: line, warn: line, info: line, debug: line, child: () => log };
  return { log, lines };
}
