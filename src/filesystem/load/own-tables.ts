// Our own part of a dump back into our tables: settings, volumes, delayed slices, the page ledger.
import { fail } from '../../base/errors.ts';
import { OWN_VERSION } from '../dump/own-tables.ts';
import { TAG_BYTES } from '../page/envelope.ts';
import { type Change, change, must } from '../sql/op.ts';
import type { Batch } from './batch.ts';
import { arrayOf, integerOf, MAX_ID, objectOf, textOf } from './fields.ts';
import type { JsonReader } from './json-reader.ts';
import { addReference } from './rows.ts';

/** epoch, nonce, sealed key, tag (docs/FORMAT.md). */
const PAGE_KEY_BYTES = 61;
const MAX_INDX = 1024n;
const settings: ReadonlySet<string> = new Set(['uuid', 'custody', 'key-check', 'ledger', 'ledger-mode', 'owner']);

export interface OwnTables {
  /** The highest slice id in it. */
  readonly highest: bigint;
}

/** The value of the last key. */
export async function loadOwnTables(reader: JsonReader, batch: Batch): Promise<OwnTables> {
  let highest = 0n;
  const see = (id: bigint): void => {
    if (id > highest) highest = id;
  };
  await reader.expect('{');
  for (let first = true; ; first = false) {
    const key = await reader.key(first);
    if (key === undefined) return { highest };
    if (key === 'version') checkVersion(await reader.value());
    else if (key === 'setting') await batch.add(...settingRows(objectOf(await reader.value(), 'our settings')));
    else if (key === 'volumes') await rows(reader, (row) => batch.add(volumeRow(objectOf(row, 'a volume'))));
    else if (key === 'snapshots') await rows(reader, (row) => batch.add(snapshotRow(objectOf(row, 'a snapshot'))));
    else if (key === 'delslices')
      await rows(reader, (row) => batch.add(...delayedRow(objectOf(row, 'delayed slices'), see)));
    else if (key === 'pages') await rows(reader, (row) => batch.add(ledgerRow(arrayOf(row, 'a ledger row'), see)));
    else throw reader.fail(`${key} in our own part, which this release does not know,`);
  }
}

function checkVersion(version: unknown): void {
  if (version !== OWN_VERSION)
    throw fail('newer-format', `read the dump: our own part: wanted version ${OWN_VERSION}, found ${String(version)}`);
}

type Json = Awaited<ReturnType<JsonReader['value']>>;

async function rows(reader: JsonReader, take: (row: Json) => Promise<void>): Promise<void> {
  await reader.expect('[');
  for (let first = true; await reader.element(first); first = false) await take(await reader.value());
}

type Fields = ReturnType<typeof objectOf>;

const bytesOf = (value: Json | undefined, what: string): Buffer => {
  const text = textOf(value, what);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw fail('bad-input', `read the dump: ${what}: no base64`);
  return bytes;
};

const settingRows = (fields: Fields): Change[] =>
  Object.entries(fields).map(([name, value]) => {
    if (!settings.has(name)) throw fail('newer-format', `read the dump: our setting ${name} is of a newer release`);
    return once(
      change(
        'INSERT INTO pageseal_setting (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING',
        name,
        bytesOf(value, `our setting ${name}`),
      ),
      `our setting ${name}`,
    );
  });

const once = (row: Change, what: string): Change =>
  must(1, row, () => fail('bad-input', `read the dump: ${what} is in it twice`));

const numberAt = (fields: Fields, name: string): bigint => integerOf(fields[name], name, MAX_ID);

function volumeRow(fields: Fields): Change {
  const [id, request, params, state] = ['id', 'request', 'params', 'state'].map((name) => textOf(fields[name], name));
  return once(
    change(
      'INSERT INTO pageseal_volume (id, request, inode, params, capacity, state) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      id ?? '',
      request ?? '',
      numberAt(fields, 'inode'),
      params ?? '',
      numberAt(fields, 'capacity'),
      state ?? '',
    ),
    `volume ${id}`,
  );
}

function snapshotRow(fields: Fields): Change {
  const [id, request, volume, state] = ['id', 'request', 'volume', 'state'].map((name) => textOf(fields[name], name));
  return once(
    change(
      'INSERT INTO pageseal_snapshot (id, request, volume, inode, created, capacity, state) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      id ?? '',
      request ?? '',
      volume ?? '',
      numberAt(fields, 'inode'),
      numberAt(fields, 'created'),
      numberAt(fields, 'capacity'),
      state ?? '',
    ),
    `snapshot ${id}`,
  );
}

/** Each entry holds a reference of its slice. */
function delayedRow(fields: Fields, see: (id: bigint) => void): Change[] {
  const key = numberAt(fields, 'id');
  const entries = arrayOf(fields['slices'], `delayed slices ${key}`).map((entry) => {
    const [id, size] = arrayOf(entry, `delayed slices ${key}`);
    return {
      id: integerOf(id, 'slice', MAX_ID, 1n),
      size: Number(integerOf(size, 'size of a slice', BigInt(MAX_SLICE), 1n)),
    };
  });
  const bytes = Buffer.alloc(entries.length * DELAYED_BYTES);
  entries.forEach(({ id, size }, i) => {
    bytes.writeBigUInt64BE(id, i * DELAYED_BYTES);
    bytes.writeUInt32BE(size, i * DELAYED_BYTES + 8);
    see(id);
  });
  see(key);
  const row = change(
    'INSERT INTO jfs_delslices (chunkid, deleted, slices) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    key,
    numberAt(fields, 'deleted'),
    bytes,
  );
  return [once(row, `delayed slices ${key}`), ...entries.map(({ id, size }) => addReference(id, size))];
}

const DELAYED_BYTES = 12;
const MAX_SLICE = 67_108_864;

function ledgerRow(row: readonly Json[], see: (id: bigint) => void): Change {
  const id = integerOf(row[0], 'slice of a ledger row', MAX_ID, 1n);
  const indx = integerOf(row[1], 'page of a ledger row', MAX_INDX);
  const entry = bytesOf(row[2], `ledger row of slice ${id}`);
  if (entry.length !== TAG_BYTES + PAGE_KEY_BYTES)
    throw fail('bad-input', `read the dump: ledger row of slice ${id}: ${entry.length} bytes`);
  see(id);
  return once(
    change(
      'INSERT INTO pageseal_page (slice_id, indx, tag, page_key) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      id,
      indx,
      entry.subarray(0, TAG_BYTES),
      entry.subarray(TAG_BYTES),
    ),
    `the ledger row of slice ${id}, page ${indx}`,
  );
}
