// Certificate authorities that the administrator adds to those which Node brings along. They count in every connection of
// this process for which nobody names an authority: to databases and to stores.
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { fail } from '../base/errors.ts';
import { MiB } from '../base/units.ts';

/** As much as a ConfigMap holds. */
const MAX_BYTES = MiB;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Connections that are made from now on take them; `file` is read once. */
export function trustAuthorities(file: string): void {
  const own = certificatesOf(file, textOf(file));
  setDefaultCACertificates([...getCACertificates('default'), ...own]);
}

function textOf(file: string): string {
  try {
    const { size } = statSync(file);
    if (size <= MAX_BYTES) return readFileSync(file, 'utf8');
  } catch (cause) {
    throw fail('bad-input', `--ca-file ${file}: ${(cause as Error).message}`, { cause });
  }
  throw fail('bad-input', `--ca-file ${file}: is larger than ${MAX_BYTES} bytes`);
}

/** Each must be one: authorities that are passed over in silence would be missed at the first connection only. */
function certificatesOf(file: string, text: string): string[] {
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw fail('bad-input', `--ca-file ${file}: wanted certificates as PEM, found none`);
  for (const [index, pem] of found.entries())
    try {
      new X509Certificate(pem);
    } catch (cause) {
      throw fail('bad-input', `--ca-file ${file}: certificate ${index + 1} of ${found.length} cannot be read`, {
        cause,
      });
    }
  return [...found];
}
