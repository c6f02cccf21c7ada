// Is a file system empty, and at rest? Everything is counted that could hold a byte or a name in clear, and each thing that
// is there is a reason of its own.
import { nowSeconds } from '../../base/clock.ts';
import { hasOurTables } from '../meta/schema.ts';
import { read } from '../sql/op.ts';
import { openSnapshot } from '../sql/open-engine.ts';
import { openStore } from '../store/open-store.ts';
import { storeSettings } from '../store-settings.ts';
import { countObjects, type ObjectsLeft } from './objects-left.ts';
import { countRows, type RowsLeft } from './rows-left.ts';
import { allSessions, liveSessionsAmong, sessionReasons } from './sessions.ts';
import { knownStanding } from './standing.ts';
import type { Emptiness, FileSystemPlace, LiveSession, Reason, ReasonCode } from './words.ts';

/** Rows of one moment, and the store as it is listed then. Changes nothing. Rejects not-formatted, and what a store does. */
export async function inspectEmptiness({ metaUrl, store: given }: FileSystemPlace): Promise<Emptiness> {
  const snapshot = await openSnapshot(metaUrl);
  try {
    const standing = await knownStanding(snapshot);
    const rows = await countRows(snapshot, await hasOurTables(snapshot));
    const [sessionRows] = await snapshot.view(() => read(allSessions));
    const sessions = liveSessionsAmong(sessionRows, nowSeconds());
    const store = await openStore(storeSettings(standing, given));
    try {
      const objects = await countObjects(store, snapshot, standing.setting);
      return summary(rows, objects, sessions);
    } finally {
      await store.close();
    }
  } finally {
    await snapshot.close();
  }
}

function summary(rows: RowsLeft, { example, ...objects }: ObjectsLeft, sessions: readonly LiveSession[]): Emptiness {
  return {
    counts: { ...rows, ...objects, sessions: sessions.length },
    reasons: [...sessionReasons(sessions), ...rowReasons(rows), ...objectReasons({ ...objects, example })],
    sessions,
  };
}

const MORE = 'remove them, or wipe the file system';

const rowTexts: readonly (readonly [keyof RowsLeft, ReasonCode, string])[] = [
  ['inodes', 'LiveFile', `files, directories and links: ${MORE}`],
  ['trash', 'TrashedFile', 'deleted files in the trash: empty it (pageseal trash empty), or wipe the file system'],
  ['sustained', 'OpenUnlinkedFile', 'deleted files that a client had open: pageseal gc --delete ends what died'],
  ['pendingSlices', 'PendingSlice', 'pieces of deleted data that wait: pageseal gc --delete removes them'],
  ['delayedSlices', 'DelayedSlice', 'pieces of replaced data that the trash keeps: wipe the file system'],
  ['snapshots', 'Snapshot', `snapshots and unfinished clones: ${MORE}`],
  ['volumes', 'CsiVolume', 'volumes of a cluster: delete their claims'],
];

const rowReasons = (rows: RowsLeft): Reason[] =>
  rowTexts.flatMap(([name, code, text]) => (rows[name] > 0n ? [{ code, text: `${rows[name]} ${text}` }] : []));

function objectReasons({ strayObjects, metadataBackups, objectsCut, example }: ObjectsLeft): Reason[] {
  const least = objectsCut ? 'at least ' : '';
  const strays: Reason = {
    code: 'StrayObject',
    text: `${least}${strayObjects} objects that belong to no file, ${example} for example: ${MORE}`,
  };
  const backups: Reason = {
    code: 'MetadataBackup',
    text: `${least}${metadataBackups} backups of the metadata in the store, with names in clear: move them away, or wipe the file system`,
  };
  return [...(strayObjects > 0 ? [strays] : []), ...(metadataBackups > 0 ? [backups] : [])];
}
