// Removes a volume: its directory with everything in it, its quota, its row.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import type { Meta } from '../meta/meta.ts';
import { deleteDirQuota } from '../meta/statements.ts';
import { type Ino, NodeType } from '../meta/types.ts';
import { deleteVolumeRow, edgeOf, volumeById } from '../meta/volume-rows.ts';
import { type Engine, type Op, read, write } from '../sql/op.ts';
import { removeEntry } from './remove-tree.ts';

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
  if (found.parent !== 0n) await removeEntry(meta, found.parent, { ...found, type: NodeType.directory }, { caller });
  await engine.run(
    function* (): Op<void> {
      yield* write(deleteDirQuota(found.ino), deleteVolumeRow(id));
    },
    { durable: true },
  );
}
