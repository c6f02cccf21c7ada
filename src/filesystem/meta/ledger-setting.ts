// Our own settings beside the record: who keeps the key, how to recognise it, the sealed ledger key, the ledger mode.
// Bytes in, bytes out; the keys themselves are never here.
import { fail } from '../../base/errors.ts';
import type { LedgerMode } from '../../base/words.ts';
import { type Change, change, type Engine, type Op, query, type Reader, read, write } from '../sql/op.ts';
import { lockedSettingText } from './record-row.ts';
import { bigintAt, bytesAt, textAt } from './rows.ts';
import { completeTables, hasOurTables } from './schema.ts';

export type Custody = 'self-managed' | 'in-metadata' | 'unencrypted';

/** Who made the file system, and alone may wipe it or turn its encryption on. */
export type Owner = 'operator' | 'csi' | 'user';

export interface LedgerSetting {
  /** Undefined for volumes that the original client made. */
  readonly custody?: Custody;
  /** SHA-256 of the SPKI; undefined while no key has been seen (unclaimed). */
  readonly keyCheck?: Buffer;
  /** L sealed under M (docs/FORMAT.md). */
  readonly ledger?: Buffer;
  readonly mode?: LedgerMode;
  /** Undefined for volumes of the original client and of older releases: a user's. */
  readonly owner?: Owner;
}

const custodies: ReadonlySet<string> = new Set(['self-managed', 'in-metadata', 'unencrypted']);
const modes: ReadonlySet<string> = new Set(['strict', 'lenient']);
const owners: ReadonlySet<string> = new Set(['operator', 'csi', 'user']);

interface SettingRow {
  readonly name: string;
  readonly value: Buffer;
}

export const allSettings = query(
  'SELECT name, BYTES(value) FROM pageseal_setting',
  [],
  (row): SettingRow => ({
    name: textAt(row, 0),
    value: bytesAt(row, 1),
  }),
);

function* readAll(): Op<LedgerSetting> {
  const [rows] = yield* read(allSettings);
  return ledgerSettingOf(rows);
}

export function ledgerSettingOf(rows: readonly SettingRow[]): LedgerSetting {
  const value = (name: string): Buffer | undefined => rows.find((row) => row.name === name)?.value;
  const custody = value('custody')?.toString();
  const mode = value('ledger-mode')?.toString();
  if (custody !== undefined && !custodies.has(custody))
    throw fail('newer-format', `custody of the key: wanted self-managed, in-metadata or unencrypted, found ${custody}`);
  if (mode !== undefined && !modes.has(mode))
    throw fail('newer-format', `ledger mode: wanted strict or lenient, found ${mode}`);
  const owner = value('owner')?.toString();
  if (owner !== undefined && !owners.has(owner))
    throw fail('newer-format', `owner of the file system: wanted operator, csi or user, found ${owner}`);
  const keyCheck = value('key-check');
  const ledger = value('ledger');
  return {
    ...(custody === undefined ? {} : { custody: custody as Custody }),
    ...(mode === undefined ? {} : { mode: mode as LedgerMode }),
    ...(owner === undefined ? {} : { owner: owner as Owner }),
    ...(keyCheck === undefined ? {} : { keyCheck }),
    ...(ledger === undefined ? {} : { ledger }),
  };
}

/** Nothing for a volume without our tables. */
export async function readLedgerSetting(engine: Reader): Promise<LedgerSetting> {
  return (await hasOurTables(engine)) ? engine.view(readAll) : {};
}

type SettingName = 'custody' | 'key-check' | 'ledger' | 'ledger-mode' | 'owner' | 'uuid';

/** For the transaction that makes the volume, or that changes custody. */
export function putSetting(name: SettingName, value: Buffer): Change {
  return change(
    'INSERT INTO pageseal_setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    name,
    value,
  );
}

export const ledgerSettingChanges = (uuid: string, setting: LedgerSetting): Change[] => [
  putSetting('uuid', Buffer.from(uuid)),
  ...(setting.custody === undefined ? [] : [putSetting('custody', Buffer.from(setting.custody))]),
  ...(setting.mode === undefined ? [] : [putSetting('ledger-mode', Buffer.from(setting.mode))]),
  ...(setting.owner === undefined ? [] : [putSetting('owner', Buffer.from(setting.owner))]),
  ...(setting.keyCheck === undefined ? [] : [putSetting('key-check', setting.keyCheck)]),
  ...(setting.ledger === undefined ? [] : [putSetting('ledger', setting.ledger)]),
];

/**
 * Compare-and-set by whoever opened M: the first one's key check and ledger stand, later ones must agree. Answers what
 * stands. `ledger` is made by the caller beforehand and dropped when there is one already.
 */
export async function claimKey(
  engine: Engine,
  uuid: string,
  claim: { readonly keyCheck: Buffer; readonly ledger: Buffer; readonly custody: Custody },
): Promise<LedgerSetting & { readonly keyCheck: Buffer; readonly ledger: Buffer }> {
  await completeTables(engine);
  return engine.run(
    function* () {
      // The record is there in every volume; ours may have no row yet that could be locked.
      yield* lockedSettingText();
      const current = yield* readAll();
      const keyCheck = current.keyCheck ?? claim.keyCheck;
      if (!keyCheck.equals(claim.keyCheck))
        throw fail(
          'wrong-key',
          `open the file system ${uuid}: wanted key ${short(keyCheck)}, found key ${short(claim.keyCheck)}`,
        );
      if (current.ledger === undefined) yield* refuseLostLedger(uuid);
      const ledger = current.ledger ?? claim.ledger;
      const settled = { ...current, custody: current.custody ?? claim.custody, keyCheck, ledger };
      if (current.keyCheck === undefined || current.ledger === undefined || current.custody === undefined)
        yield* write(...ledgerSettingChanges(uuid, settled));
      return settled;
    },
    { durable: true },
  );
}

const anyPage = query('SELECT slice_id FROM pageseal_page LIMIT 1', [], (row) => bigintAt(row, 0));

/** Rows were sealed under a key that is gone: a new one would open none of them. */
function* refuseLostLedger(uuid: string): Op<void> {
  const [pages] = yield* read(anyPage);
  if (pages.length > 0)
    throw fail(
      'metadata-damaged',
      `open the file system ${uuid}: the key of its page ledger is gone, its rows are not`,
      {
        hint: 'somebody changed the metadata; compare it with a backup before you go on',
      },
    );
}

const short = (keyCheck: Buffer): string => keyCheck.toString('hex').slice(0, 16);
