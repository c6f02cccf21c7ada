// A metadata url as text that may be shown and written down: who opens a database, and not by what secret. No parser:
// sql/url.ts decides what a url means.

/** Parameters that hold no secret under any value. All others are left out, since a newer driver may know more. */
const open: ReadonlySet<string> = new Set([
  'sslmode', 'search_path', 'table_prefix', 'connect_timeout', 'host', 'port', 'user', 'dbname', 'target_session_attrs',
  'remote_only',
]); // biome-ignore format: a list
/** Files by name, or PEM text itself. */
const files: ReadonlySet<string> = new Set(['sslrootcert', 'sslcert', 'sslkey']);

/** `scheme://user:password@host/db?sslkey=...` without password and PEM text. A file's path stays as it is. */
export function withoutSecrets(metaUrl: string): string {
  const [, scheme = '', place = ''] = /^([^:/]+:\/\/)(.*)$/s.exec(metaUrl) ?? [];
  if (scheme === 'sqlite3://') return metaUrl;
  // A password may hold anything, also a question mark that was not escaped: the query begins behind the last of them.
  const beforeQuery = place.includes('@') && !place.split('?')[0]?.includes('@') ? place.lastIndexOf('@') : 0;
  const question = place.indexOf('?', beforeQuery);
  const authority = question < 0 ? place : place.slice(0, question);
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? '' : `${authority.slice(0, at).split(':')[0]}@`;
  return `${scheme}${user}${authority.slice(at + 1)}${question < 0 ? '' : openQuery(place.slice(question + 1))}`;
}

function openQuery(query: string): string {
  const kept = query.split('&').filter((part) => {
    const [name = '', value = ''] = part.split(/=(.*)/s);
    return open.has(name) || (files.has(name) && !/^(-|%2d|\+)/i.test(value));
  });
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

/**
 * The url of a Secret, with the option by which a database on this machine or its link is refused. Such a url holds no
 * question mark before its query (connection/postgres-url.ts).
 */
export function withRemoteOnly(metaUrl: string): string {
  if (!/^postgres(?:ql)?:/i.test(metaUrl)) return metaUrl;
  const question = metaUrl.indexOf('?');
  if (question < 0) return `${metaUrl}?remote_only=true`;
  const query = metaUrl.slice(question + 1);
  return new URLSearchParams(query).has('remote_only') ? metaUrl : `${metaUrl}&remote_only=true`;
}
