// What a node counts in the figures of usage (spec 5.10), as SQL over a node table known as n: whole units of 4 KiB for
// files, at least one, and one for everything else; only files have a data length.

/** A sum that is an integer: PostgreSQL's own has no end, and is another type. */
export const sumOf = (expression: string): string => `CAST(COALESCE(SUM(${expression}), 0) AS BIGINT)`;

export const NODE_SPACE = 'CASE WHEN n.type = 1 AND n.length > 0 THEN (n.length + 4095) / 4096 * 4096 ELSE 4096 END';
export const NODE_LENGTH = 'CASE WHEN n.type = 1 THEN n.length ELSE 0 END';
