// Removes a volume's directory with everything in it, entry by entry, through the metadata's own rules: what its files
// leave behind (trash, objects, usage) is then what any unlink leaves.
import { fail, hasCode } from '../base/errors.ts';
import type { Caller } from '../base/words.ts';
import type { Meta } from './meta/meta.ts';
import { deleteDirQuota } from './meta/statements.ts';
import { type Ino, NodeType } from './meta/types.ts';
import { deleteVolumeRow, edgeOf, volumeById } from './meta/volume-rows.ts';
import { type Engine, type Op, read, write } from './sql/op.ts';

/** Entries per look at a directory, and how many of them go at once. */
const PAGE = 512;
const PARALLEL = 8;
const caller: Caller = { uid: 0, gid: 0, pid: 0, umask: 0 };

/** Tree, quota, then the row; each may be gone already. */
export async function removeVolume(engine: Engine, meta: Meta, id: string): Promise<void> {
  const found = await engine.view(function* (): Op<{ ino: Ino; parent: Ino; name: Buffer } | undefined> {
    const [[row]] = yield* read(volumeById(id));
    if (row === undefined) return undefined;
    if (row.state !== 'deleting') throw fail('failed-precondition', `remove volume ${id}: it is not marked for that`);
    const [[edge]] = yield* read(edgeOf(row.inode));
    return { ino: row.inode, parent: edge?.parent ?? 0n, name: edge?.name ?? Buffer.alloc(0) };
  });
  if (found === undefined) return;
  if (found.parent !== 0n) await removeDirectory(meta, found.parent, found.name, found.ino);
  await engine.run(
    function* (): Op<void> {
      yield* write(deleteDirQuota(found.ino), deleteVolumeRow(id));
    },
    { durable: true },
  );
}

/** Files several at once, folders one after the other: else a broad tree would be in memory all at once. */
async function removeDirectory(meta: Meta, parent: Ino, name: Buffer, ino: Ino): Promise<boolean> {
  for (;;) {
    const entries = await meta.readdir(ino, undefined, PAGE, false);
    if (entries.length === 0) break;
    const files = entries.filter(({ type }) => type !== NodeType.directory);
    let removed = 0;
    for (let at = 0; at < files.length; at += PARALLEL) {
      const some = files.slice(at, at + PARALLEL);
      const gone = await Promise.all(some.map((file) => ignoreMissing(meta.unlink(caller, ino, file.name))));
      removed += gone.filter((each) => each).length;
    }
    for (const entry of entries)
      if (entry.type === NodeType.directory && (await removeDirectory(meta, ino, entry.name, entry.ino))) removed++;
    if (removed === 0) throw fail('metadata-damaged', `remove directory ${ino}: it lists entries that do not exist`);
  }
  return ignoreMissing(meta.rmdir(caller, parent, name));
}

/** False when there was nothing any more. */
async function ignoreMissing(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (thrown) {
    if (!hasCode(thrown, 'ENOENT')) throw thrown;
    return false;
  }
}
