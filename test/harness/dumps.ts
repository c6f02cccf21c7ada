// Dump and load in this process, for tests that look at what comes out and not at the command line.
import { type DumpOptions, dumpMetadata } from '../../src/filesystem/dump/dump.ts';
import { type LoadOptions, type LoadSummary, loadMetadata } from '../../src/filesystem/load/load.ts';
import { openSnapshot } from '../../src/filesystem/sql/open-engine.ts';

export async function dumpOf(metaUrl: string, options: DumpOptions = {}): Promise<string> {
  const snapshot = await openSnapshot(metaUrl);
  const pieces: string[] = [];
  try {
    const take = async (text: string): Promise<void> => void pieces.push(text);
    await dumpMetadata(snapshot, take, options);
  } finally {
    await snapshot.close();
  }
  return pieces.join('');
}

/** The text comes in pieces of `size` bytes. */
export function loadText(
  metaUrl: string,
  text: string | Buffer,
  options: Omit<LoadOptions, 'metaUrl' | 'text'> & { readonly size?: number } = {},
): Promise<LoadSummary> {
  const { size = 4096, ...rest } = options;
  const bytes = Buffer.from(text);
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  return loadMetadata({ metaUrl, text: pieces(), ...rest });
}
