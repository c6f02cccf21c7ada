// META-URL arguments: what they may be, and the password that does not stand in them. It is put in here, once; beyond this
// file a metadata url carries everything that opens it.
import { readFileSync } from 'node:fs';
import { Argument } from 'commander';
import { fail } from '../base/errors.ts';
import { secretFromEnvironment } from './secrets-environment.ts';

const SPELLINGS = 'sqlite3://FILE or postgres://USER@HOST:PORT/DATABASE';

/** The argument of a command that works on one volume. */
export const metaUrlArgument = (about = 'where the metadata is'): Argument =>
  new Argument('<META-URL>', `${about}: ${SPELLINGS}`).argParser(withPassword);

/** For commands whose first path may be one. */
export const pathsArgument = (
  about = 'paths on mounts; after a META-URL paths from the root of that volume',
): Argument => new Argument('<PATH...>', `${about} (META-URL: ${SPELLINGS})`);

/** The url and the paths behind it, or the paths alone. */
export function splitMetaUrl(given: readonly string[]): { metaUrl: string | undefined; paths: string[] } {
  const [first = '', ...rest] = given;
  return first.includes('://')
    ? { metaUrl: withPassword(first), paths: rest }
    : { metaUrl: undefined, paths: [first, ...rest] };
}

/** The url with META_PASSWORD or what is in META_PASSWORD_FILE, as the original client: where it holds none itself. */
export function withPassword(metaUrl: string): string {
  const match = /^(postgres(?:ql)?:\/\/)(?:([^@/?#:]*)(:[^@/?#]*)?@)?(.*)$/is.exec(metaUrl);
  if (match === null) return metaUrl;
  const [, scheme = '', user = '', own = ':', place = ''] = match;
  if (own !== ':') {
    warn();
    return metaUrl;
  }
  const password = givenPassword();
  if (password === undefined) return metaUrl;
  return `${scheme}${user}:${encodeURIComponent(password)}@${place}`;
}

function givenPassword(): string | undefined {
  const direct = secretFromEnvironment('META_PASSWORD')?.toString();
  if (direct !== undefined && direct !== '') return direct;
  const file = process.env['META_PASSWORD_FILE'];
  if (file === undefined || file === '') return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw fail('bad-input', `reading META_PASSWORD_FILE ${file}: ${(cause as Error).message}`, { cause });
  }
}

let warned = false;

function warn(): void {
  if (!warned)
    process.stderr.write(
      'pageseal: the META-URL holds a password, which whoever lists processes can see; META_PASSWORD_FILE names a file that holds it\n',
    );
  warned = true;
}
