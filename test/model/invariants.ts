// What must hold in the rows of a volume that no client is using, with all deferred figures flushed (format
// spec, invariants). Reads the database by itself, with none of the code under test.
import { DatabaseSync } from 'node:sqlite';
import type { Place } from '../harness/place.ts';

const TRASH = 0x7fffffff10000000n;
const CHUNK_SIZE = 67_108_864n;
const RECORD = 24;
const DELETED = 12;

export interface InvariantOptions {
  readonly tablePrefix?: string;
  /** The original client leaves dir_stats of directories that a rename replaced, and makes the root's row late. */
  readonly original?: boolean;
  /** Whether usage of quotas is looked at; the original client's own can be off. Default: not for its volumes. */
  readonly quotas?: boolean;
}

interface Volume {
  all(sql: string, ...params: bigint[]): Record<string, never>[];
  readonly original: boolean;
  readonly quotas: boolean;
}

type Check = (volume: Volume) => string[];

/** One line per violation; an empty list is a sound volume. */
export function violations(file: string, options: InvariantOptions = {}): string[] {
  return violationsOf(new DatabaseSync(file, { readOnly: true }), options);
}

/** The same of a volume in either kind of database. */
export async function placeViolations(place: Place, options: InvariantOptions = {}): Promise<string[]> {
  return violationsOf(await place.snapshot(), options);
}

/** The same of a copy of a database. */
export function violationsOf(database: DatabaseSync, options: InvariantOptions = {}): string[] {
  const prefix = options.tablePrefix ? `jfs_${options.tablePrefix}_` : 'jfs_';
  const volume: Volume = {
    all: (sql, ...params) => {
      const statement = database.prepare(sql.replaceAll('jfs_', prefix));
      statement.setReadBigInts(true);
      return statement.all(...params) as unknown as Record<string, never>[];
    },
    original: options.original === true,
    quotas: options.quotas ?? options.original !== true,
  };
  try {
    return checks.flatMap((check) => check(volume));
  } finally {
    database.close();
  }
}

/** Every row that the query finds is a violation. */
const none =
  (what: string, sql: string): Check =>
  (volume) =>
    volume.all(sql).map((row) => `${what}: ${describe(row)}`);

const describe = (row: Record<string, unknown>): string =>
  Object.entries(row)
    .map(
      ([key, value]) => `${key} ${value instanceof Uint8Array ? JSON.stringify(Buffer.from(value).toString()) : value}`,
    )
    .join(', ');

/** Space of a node in the accounts: whole 4 KiB units, at least one. */
const SPACE = 'CASE WHEN n.type = 1 AND n.length > 0 THEN (n.length + 4095) / 4096 * 4096 ELSE 4096 END';
const SPECIAL = `(1, ${TRASH})`;

const checks: readonly Check[] = [
  none(
    'an entry leads to no node of its type',
    `SELECT e.parent, CAST(e.name AS BLOB) AS name, e.inode, e.type, n.type AS node FROM jfs_edge e
     LEFT JOIN jfs_node n ON n.inode = e.inode WHERE n.inode IS NULL OR n.type <> e.type`,
  ),
  none(
    'an entry lies in no directory',
    `SELECT e.parent, e.inode FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.parent
     WHERE n.inode IS NULL OR n.type <> 2`,
  ),
  none(
    'a node has no entry and nobody keeps it',
    `SELECT n.inode, n.nlink FROM jfs_node n WHERE n.inode NOT IN ${SPECIAL}
     AND NOT EXISTS (SELECT 1 FROM jfs_edge e WHERE e.inode = n.inode)
     AND NOT (n.nlink = 0 AND EXISTS (SELECT 1 FROM jfs_sustained s WHERE s.inode = n.inode))
     AND NOT EXISTS (SELECT 1 FROM jfs_detached_node d WHERE d.inode = n.inode)`,
  ),
  none(
    'nlink is not the number of entries',
    `SELECT n.inode, n.nlink, (SELECT COUNT(*) FROM jfs_edge e WHERE e.inode = n.inode) AS entries
     FROM jfs_node n WHERE n.type <> 2 AND n.nlink <> entries`,
  ),
  none(
    'nlink of a directory is not 2 and its child directories',
    `SELECT n.inode, n.nlink, (SELECT COUNT(*) FROM jfs_edge e WHERE e.parent = n.inode AND e.type = 2) AS children
     FROM jfs_node n WHERE n.type = 2 AND n.nlink <> CASE WHEN n.inode >= ${TRASH} THEN 2 ELSE 2 + children END`,
  ),
  none(
    'a directory has not exactly one entry',
    `SELECT n.inode, (SELECT COUNT(*) FROM jfs_edge e WHERE e.inode = n.inode) AS entries FROM jfs_node n
     WHERE n.type = 2 AND n.inode NOT IN ${SPECIAL} AND entries <> 1
     AND NOT EXISTS (SELECT 1 FROM jfs_detached_node d WHERE d.inode = n.inode)`,
  ),
  none(
    'parent names a directory without such an entry',
    `SELECT n.inode, n.parent FROM jfs_node n WHERE n.parent <> 0 AND n.inode NOT IN ${SPECIAL} AND n.nlink > 0
     AND NOT EXISTS (SELECT 1 FROM jfs_edge e WHERE e.parent = n.parent AND e.inode = n.inode)
     AND NOT EXISTS (SELECT 1 FROM jfs_detached_node d WHERE d.inode = n.inode)`,
  ),
  none('a directory without a parent', 'SELECT inode FROM jfs_node WHERE type = 2 AND COALESCE(parent, 0) = 0'),
  none(
    'a chunk of no file',
    `SELECT c.inode, c.indx FROM jfs_chunk c WHERE NOT EXISTS (SELECT 1 FROM jfs_delfile d WHERE d.inode = c.inode)
     AND NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = c.inode AND n.type = 1)`,
  ),
  references,
  none(
    'a symlink without its target, or a target without its symlink',
    `SELECT n.inode, 'node' AS has FROM jfs_node n WHERE n.type = 3 AND n.inode NOT IN (SELECT inode FROM jfs_symlink)
     UNION ALL SELECT s.inode, 'target' FROM jfs_symlink s
     WHERE s.inode NOT IN (SELECT inode FROM jfs_node WHERE type = 3)`,
  ),
  none('an attribute of no node', 'SELECT inode, name FROM jfs_xattr WHERE inode NOT IN (SELECT inode FROM jfs_node)'),
  none('a quota of no node', 'SELECT inode FROM jfs_dir_quota WHERE inode NOT IN (SELECT inode FROM jfs_node)'),
  (volume) =>
    volume.original
      ? []
      : none(
          'sums of no directory',
          'SELECT inode FROM jfs_dir_stats WHERE inode NOT IN (SELECT inode FROM jfs_node WHERE type = 2)',
        )(volume),
  directorySums,
  totals,
  treeQuotas,
  ownerQuotas,
  counters,
];

/** References, sizes and bounds of every record (items 5 and 6). */
function references(volume: Volume): string[] {
  const found: string[] = [];
  const slices = new Map<bigint, { size: bigint; refs: bigint }>();
  const count = (id: bigint, size: bigint, where: string): void => {
    const known = slices.get(id);
    if (known !== undefined && known.size !== size)
      found.push(`slice ${id} has sizes ${known.size} and ${size}: ${where}`);
    slices.set(id, { size, refs: (known?.refs ?? 0n) + 1n });
  };
  for (const row of volume.all('SELECT inode, indx, CAST(slices AS BLOB) AS slices FROM jfs_chunk')) {
    const { inode, indx, slices: bytes } = row as unknown as { inode: bigint; indx: bigint; slices: Uint8Array };
    const where = `chunk ${indx} of inode ${inode}`;
    const view = Buffer.from(bytes);
    if (view.length % RECORD !== 0) found.push(`${where} has ${view.length} bytes`);
    for (let at = 0; at + RECORD <= view.length; at += RECORD) {
      const [pos, size, off, len] = [at, at + 12, at + 16, at + 20].map((i) => BigInt(view.readUInt32BE(i))) as [
        bigint,
        bigint,
        bigint,
        bigint,
      ];
      const id = view.readBigUInt64BE(at + 4);
      if (pos + len > CHUNK_SIZE || len < 1n) found.push(`${where}: a record at ${pos} of ${len} bytes`);
      if (id === 0n) continue;
      if (off + len > size || size > CHUNK_SIZE)
        found.push(`${where}: slice ${id} of ${size} bytes read at ${off}, ${len}`);
      count(id, size, where);
    }
  }
  for (const row of volume.all('SELECT chunkid, CAST(slices AS BLOB) AS slices FROM jfs_delslices')) {
    const { chunkid, slices: bytes } = row as unknown as { chunkid: bigint; slices: Uint8Array };
    const view = Buffer.from(bytes);
    if (view.length === 0 || view.length % DELETED !== 0)
      found.push(`delslices of ${chunkid} have ${view.length} bytes`);
    for (let at = 0; at + DELETED <= view.length; at += DELETED)
      count(view.readBigUInt64BE(at), BigInt(view.readUInt32BE(at + 8)), 'delslices');
  }
  const rows = volume.all('SELECT chunkid, size, refs FROM jfs_chunk_ref WHERE chunkid <> 0');
  for (const row of rows as unknown as { chunkid: bigint; size: bigint; refs: bigint }[]) {
    const wanted = slices.get(row.chunkid);
    slices.delete(row.chunkid);
    if ((wanted?.refs ?? 0n) !== row.refs && (row.refs > 0n || wanted !== undefined))
      found.push(`slice ${row.chunkid}: refs ${row.refs}, referred to ${wanted?.refs ?? 0n} times`);
    if (wanted !== undefined && wanted.size !== row.size)
      found.push(`slice ${row.chunkid}: size ${row.size}, records say ${wanted.size}`);
  }
  for (const id of slices.keys()) found.push(`slice ${id} has no chunk_ref row`);
  return found;
}

/** dir_stats against a recount; directories in the trash have no row. */
function directorySums(volume: Volume): string[] {
  return none(
    'sums of a directory are not those of its entries',
    `SELECT d.inode, s.data_length, s.used_space, s.used_inodes, d.length, d.space, d.inodes FROM
     (SELECT p.inode, p.parent, COALESCE(SUM(CASE WHEN n.type = 1 THEN n.length ELSE 0 END), 0) AS length,
        COALESCE(SUM(CASE WHEN n.inode IS NULL THEN 0 ELSE ${SPACE} END), 0) AS space, COUNT(n.inode) AS inodes
      FROM jfs_node p LEFT JOIN jfs_edge e ON e.parent = p.inode LEFT JOIN jfs_node n ON n.inode = e.inode
      WHERE p.type = 2 AND p.inode <> ${TRASH} GROUP BY p.inode) d
     LEFT JOIN jfs_dir_stats s ON s.inode = d.inode
     WHERE CASE WHEN s.inode IS NULL THEN (d.inodes > 0 OR (d.inode <> 1 AND d.parent <= ${TRASH} AND d.inode < ${TRASH}))
       ELSE s.data_length <> d.length OR s.used_space <> d.space OR s.used_inodes <> d.inodes END`,
  )(volume);
}

function totals(volume: Volume): string[] {
  return none(
    'totals of the volume are not those of its nodes',
    `SELECT t.space, t.inodes, u.value AS usedSpace, i.value AS totalInodes FROM
     (SELECT COALESCE(SUM(${SPACE}), 0) AS space, COUNT(*) AS inodes FROM jfs_node n WHERE n.inode NOT IN ${SPECIAL}) t
     JOIN jfs_counter u ON u.name = 'usedSpace' JOIN jfs_counter i ON i.name = 'totalInodes'
     WHERE u.value <> t.space OR i.value <> t.inodes`,
  )(volume);
}

/** Usage of a directory's quota is everything below it, hard links once per entry. */
function treeQuotas(volume: Volume): string[] {
  if (!volume.quotas) return [];
  return volume.all('SELECT inode FROM jfs_dir_quota').flatMap((row) =>
    none(
      'usage of a quota is not that of its tree',
      `WITH RECURSIVE down (inode) AS (SELECT ${row['inode']} UNION
         SELECT e.inode FROM jfs_edge e JOIN down ON e.parent = down.inode WHERE e.type = 2)
       SELECT q.inode, q.used_space, q.used_inodes, t.space, t.inodes FROM jfs_dir_quota q, (
         SELECT COALESCE(SUM(${SPACE}), 0) AS space, COUNT(*) AS inodes
         FROM down JOIN jfs_edge e ON e.parent = down.inode JOIN jfs_node n ON n.inode = e.inode) t
       WHERE q.inode = ${row['inode']} AND (q.used_space <> t.space OR q.used_inodes <> t.inodes)`,
    )(volume),
  );
}

/** Files and directories count for who owns them, once per node; whoever owns anything has a row. */
function ownerQuotas(volume: Volume): string[] {
  const [setting] = volume.all("SELECT value FROM jfs_setting WHERE name = 'format'");
  if (!volume.quotas || !/"UserGroupQuota": *true/.test(String(setting?.['value']))) return [];
  return [1, 2].flatMap((type) =>
    none(
      'usage of a user or group is not what they have',
      `SELECT ${type} AS qtype, k.id, q.used_space, q.used_inodes, t.space, t.inodes FROM (
         SELECT ${type === 1 ? 'uid' : 'gid'} AS id FROM jfs_node WHERE inode NOT IN ${SPECIAL}
         UNION SELECT qkey FROM jfs_user_group_quota WHERE qtype = ${type}) k
       LEFT JOIN jfs_user_group_quota q ON q.qtype = ${type} AND q.qkey = k.id
       LEFT JOIN (SELECT ${type === 1 ? 'n.uid' : 'n.gid'} AS id, SUM(CASE WHEN n.type IN (1, 2) THEN ${SPACE} ELSE 0 END) AS space,
           SUM(CASE WHEN n.type IN (1, 2) THEN 1 ELSE 0 END) AS inodes
         FROM jfs_node n WHERE n.inode NOT IN ${SPECIAL} GROUP BY 1) t ON t.id = k.id
       WHERE q.qkey IS NULL OR q.used_space <> COALESCE(t.space, 0) OR q.used_inodes <> COALESCE(t.inodes, 0)`,
    )(volume),
  );
}

/** No id will be given out a second time. */
function counters(volume: Volume): string[] {
  const limit = (name: string, highest: string, strictly: boolean): string[] =>
    none(
      `counter ${name} is behind`,
      `SELECT c.value, h.highest FROM (SELECT COALESCE(MAX(id), 0) AS highest FROM (${highest})) h
       LEFT JOIN jfs_counter c ON c.name = '${name}' WHERE COALESCE(c.value, 0) ${strictly ? '<=' : '<'} h.highest`,
    )(volume);
  return [
    ...limit('nextInode', `SELECT inode AS id FROM jfs_node WHERE inode < ${TRASH}`, true),
    ...limit('nextChunk', 'SELECT chunkid AS id FROM jfs_chunk_ref', true),
    ...limit('nextSession', 'SELECT sid AS id FROM jfs_session2', false),
    ...limit('nextTrash', `SELECT inode - ${TRASH} AS id FROM jfs_node WHERE inode > ${TRASH}`, false),
  ];
}
