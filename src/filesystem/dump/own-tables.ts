// The last key of a dump: our own tables, which the original client's load passes over, and the slices that a compaction
// replaced, which its form of a dump has no place for. Streamed: the page ledger is most of a big volume's metadata.
import { bigintAt, bytesAt, textAt } from '../meta/rows.ts';
import { decodeDeletedSlices } from '../meta/slices.ts';
import { type Op, query, type Row, read, type Snapshot } from '../sql/op.ts';

export const OWN_KEY = 'pageseal_tables';
/** Of this part; a reader refuses what it does not know. */
export const OWN_VERSION = 1;

/** Rows read at once. */
const PAGE = 500;

const settings = query('SELECT name, BYTES(value) FROM pageseal_setting ORDER BY name', [], (row) => [
  textAt(row, 0),
  bytesAt(row, 1).toString('base64'),
]);

const volumes = query(
  'SELECT id, request, inode, params, capacity, state FROM pageseal_volume ORDER BY id',
  [],
  (row) =>
    `{"id":${text(row, 0)},"request":${text(row, 1)},"inode":${bigintAt(row, 2)},"params":${text(row, 3)},` +
    `"capacity":${bigintAt(row, 4)},"state":${text(row, 5)}}`,
);

const snapshots = query(
  'SELECT id, request, volume, inode, created, capacity, state FROM pageseal_snapshot ORDER BY id',
  [],
  (row) =>
    `{"id":${text(row, 0)},"request":${text(row, 1)},"volume":${text(row, 2)},"inode":${bigintAt(row, 3)},` +
    `"created":${bigintAt(row, 4)},"capacity":${bigintAt(row, 5)},"state":${text(row, 6)}}`,
);

const text = (row: Row, at: number): string => JSON.stringify(textAt(row, at));

function* delayedAfter(after: bigint): Op<{ id: bigint; text: string }[]> {
  const [found] = yield* read(
    query(
      `SELECT chunkid, deleted, BYTES(slices) FROM jfs_delslices WHERE chunkid > ? ORDER BY chunkid LIMIT ${PAGE}`,
      [after],
      (row) => {
        const id = bigintAt(row, 0);
        const slices = decodeDeletedSlices(bytesAt(row, 2), `delayed slices ${id}`);
        const list = slices.map((slice) => `[${slice.id},${slice.size}]`).join(',');
        return { id, text: `{"id":${id},"deleted":${bigintAt(row, 1)},"slices":[${list}]}` };
      },
    ),
  );
  return found;
}

interface LedgerLine {
  readonly id: bigint;
  readonly indx: bigint;
  readonly text: string;
}

/** Tag and page key behind one another in base64. */
function* ledgerAfter(id: bigint, indx: bigint): Op<LedgerLine[]> {
  const [found] = yield* read(
    query(
      `SELECT slice_id, indx, BYTES(tag), BYTES(page_key) FROM pageseal_page
       WHERE slice_id > ? OR (slice_id = ? AND indx > ?) ORDER BY slice_id, indx LIMIT ${PAGE}`,
      [id, id, indx],
      (row) => {
        const [slice, at] = [bigintAt(row, 0), bigintAt(row, 1)];
        const entry = Buffer.concat([bytesAt(row, 2), bytesAt(row, 3)]).toString('base64');
        return { id: slice, indx: at, text: `[${slice},${at},"${entry}"]` };
      },
    ),
  );
  return found;
}

/** Pieces of text, or nothing at all for a volume of the original client's that has none of this. */
export async function* ownTables(
  snapshot: Snapshot,
  ourTables: boolean,
  options: { readonly skipTrash: boolean },
): AsyncGenerator<string> {
  const first = options.skipTrash ? [] : await snapshot.view(() => delayedAfter(0n));
  const [pairs, volumeRows, snapshotRows] = ourTables
    ? await snapshot.view(function* () {
        return yield* read(settings, volumes, snapshots);
      })
    : [[], [], []];
  // Tables that a writing mount made in a volume without encryption: the text stays what the original client's is.
  if (pairs.length + volumeRows.length + snapshotRows.length + first.length === 0) return;
  const setting = pairs.map(([name, value]) => `${JSON.stringify(name)}:"${value}"`).join(',');
  yield `,\n  "${OWN_KEY}": {\n    "version": ${OWN_VERSION},\n    "setting": {${setting}}`;
  yield* list('volumes', [volumeRows]);
  yield* list('snapshots', [snapshotRows]);
  yield* list('delslices', delayed(snapshot, first));
  yield* list('pages', ourTables ? ledger(snapshot) : []);
  yield '\n  }';
}

async function* delayed(snapshot: Snapshot, first: { id: bigint; text: string }[]): AsyncGenerator<string[]> {
  for (let rows = first; rows.length > 0; ) {
    yield rows.map((row) => row.text);
    const after = rows.at(-1)?.id ?? 0n;
    rows = await snapshot.view(() => delayedAfter(after));
  }
}

async function* ledger(snapshot: Snapshot): AsyncGenerator<string[]> {
  let [id, indx] = [-1n, -1n];
  for (;;) {
    const rows = await snapshot.view(() => ledgerAfter(id, indx));
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows.map((row) => row.text);
    [id, indx] = [last.id, last.indx];
  }
}

/** A line per row. */
async function* list(
  name: string,
  pages: AsyncIterable<readonly string[]> | readonly (readonly string[])[],
): AsyncGenerator<string> {
  yield `,\n    "${name}": [`;
  let separator = '\n      ';
  for await (const lines of pages) {
    if (lines.length === 0) continue;
    yield separator + lines.join(',\n      ');
    separator = ',\n      ';
  }
  yield separator === '\n      ' ? ']' : '\n    ]';
}
