// Volumes: directories of a file system with a quota and a row. Each step is one transaction and safe to repeat, since a
// provisioner that lost an answer asks again. Needs metadata only, no key and no session.
import { nowNs } from '../base/clock.ts';
import { fail } from '../base/errors.ts';
import { conversionRows, refuseConversion } from './meta/conversion-lock.ts';
import { increment } from './meta/counters.ts';
import { newDirectory } from './meta/new-directory.ts';
import { addRootUsage } from './meta/owner-rows.ts';
import { addQuotaUsage, quotaOf, quotasAbove, setQuota } from './meta/quota-rows.ts';
import { recordText } from './meta/record-row.ts';
import { uuidIn } from './meta/setting.ts';
import { childByName, insertDirStats, insertEdge, insertNode, nodeById, touch } from './meta/statements.ts';
import { type Attr, type Ino, NodeFlag, NodeType, ROOT } from './meta/types.ts';
import { addDirStats, addVolumeUsage, lockFigures } from './meta/usage-rows.ts';
import {
  insertVolume,
  liveSessions,
  otherVolumes,
  setVolumeCapacity,
  setVolumeState,
  type VolumeRow,
  volumeById,
} from './meta/volume-rows.ts';
import { type Change, type Engine, type Op, read, write } from './sql/op.ts';

export type { VolumeRow } from './meta/volume-rows.ts';

export interface VolumeSpec {
  readonly id: string;
  readonly request: string;
  /** Absolute path of the volume's directory, not the root. */
  readonly directory: string;
  readonly params: string;
  /** Bytes; 0 is unlimited. */
  readonly capacity: bigint;
  /** Of the file system that the caller has looked at: encrypted or wiped since, it is another one. */
  readonly uuid: string;
}

/** Whoever mounts the volume decides who may write; the original driver's directories are as open. */
const VOLUME_MODE = 0o777;
const PARENT_MODE = 0o755;
/** What a directory counts for in usage. */
const DIRECTORY_DELTA = { length: 0n, space: 4096n, inodes: 1n };

export async function findVolume(engine: Engine, id: string): Promise<VolumeRow | undefined> {
  return engine.view(function* (): Op<VolumeRow | undefined> {
    const [[row]] = yield* read(volumeById(id));
    return row;
  });
}

/** Answers the row that exists, whatever made it: comparing it with what is wanted now is the caller's. */
export async function createVolume(engine: Engine, spec: VolumeSpec): Promise<VolumeRow> {
  const existing = await findVolume(engine, spec.id);
  if (existing !== undefined) return existing;
  const names = spec.directory.split('/').filter((name) => name !== '');
  const last = names.pop();
  if (last === undefined) throw fail('bad-input', 'create volume: its directory cannot be the root');
  let parent = ROOT;
  for (const name of names) parent = await makeParent(engine, spec.uuid, parent, Buffer.from(name));
  const ino = await newInode(engine);
  const row: VolumeRow = {
    id: spec.id,
    request: spec.request,
    inode: ino,
    params: spec.params,
    capacity: spec.capacity,
    state: 'ready',
  };
  return engine.run(() => insertVolumeDirectory(row, spec.uuid, parent, Buffer.from(last)), { durable: true });
}

function* insertVolumeDirectory(row: VolumeRow, uuid: string, parentIno: Ino, name: Buffer): Op<VolumeRow> {
  const [, [record], lock, [existing], [parent], [clash], quotas] = yield* read(
    lockFigures,
    recordText,
    conversionRows,
    volumeById(row.id, true),
    nodeById(parentIno, true),
    childByName(parentIno, name),
    quotasAbove(parentIno),
  );
  refuseConversion(`create volume ${row.id}`, lock);
  refuseAnother(uuid, record);
  if (existing !== undefined) return existing;
  if (parent === undefined) throw fail('ENOENT', `create volume ${row.id}: the directory above it is gone`);
  if (clash !== undefined) throw fail('conflict', `create volume ${row.id}: its directory exists and is not its own`);
  const quota = row.capacity > 0n ? [setQuota(row.inode, { maxSpace: row.capacity })] : [];
  const above = quotas.map((each) => addQuotaUsage(each.ino, DIRECTORY_DELTA));
  yield* write(
    ...insertDirectory(row.inode, parent, name, VOLUME_MODE),
    ...above,
    ...quota,
    insertVolume(row),
    touch(parentIno, nowNs(), 1),
  );
  return row;
}

function refuseAnother(uuid: string, record: string | undefined): void {
  const found = uuidIn(record ?? '');
  if (found !== uuid) throw fail('conflict', `create volume: its file system ${uuid} is ${found ?? 'gone'} now`);
}

/** A directory on the way to a volume's; one that exists is used. */
async function makeParent(engine: Engine, uuid: string, parentIno: Ino, name: Buffer): Promise<Ino> {
  const ino = await newInode(engine);
  return engine.run(function* (): Op<Ino> {
    const [, [record], lock, [parent], [found], quotas] = yield* read(
      lockFigures,
      recordText,
      conversionRows,
      nodeById(parentIno, true),
      childByName(parentIno, name),
      quotasAbove(parentIno),
    );
    refuseConversion('create volume', lock);
    refuseAnother(uuid, record);
    if (found?.type === NodeType.directory) return found.ino;
    if (found !== undefined) throw fail('conflict', `create volume: ${name} on its path is no directory`);
    if (parent === undefined) throw fail('ENOENT', `create volume: the directory above ${name} is gone`);
    const above = quotas.map((each) => addQuotaUsage(each.ino, DIRECTORY_DELTA));
    yield* write(...insertDirectory(ino, parent, name, PARENT_MODE), ...above, touch(parentIno, nowNs(), 1));
    return ino;
  });
}

const newInode = async (engine: Engine): Promise<Ino> =>
  (await engine.run(() => increment('nextInode', 1n), { durable: true })) - 1n;

function insertDirectory(ino: Ino, parent: Attr, name: Buffer, mode: number): Change[] {
  const { tier } = parent;
  const attr = { ...newDirectory(ino, mode, parent.ino, nowNs()), flags: parent.flags & NodeFlag.skipTrash, tier };
  return [
    insertNode(attr),
    insertEdge(parent.ino, name, ino, NodeType.directory),
    insertDirStats(ino),
    addDirStats(parent.ino, DIRECTORY_DELTA),
    ...addVolumeUsage(DIRECTORY_DELTA),
    ...addRootUsage(DIRECTORY_DELTA),
  ];
}

/** Never shrinks. Answers the limit as it then stands in the metadata. */
export async function expandVolume(engine: Engine, id: string, capacity: bigint): Promise<bigint> {
  await engine.run(
    function* (): Op<void> {
      const [, lock, [row]] = yield* read(lockFigures, conversionRows, volumeById(id, true));
      refuseConversion(`expand volume ${id}`, lock);
      if (row === undefined) throw fail('not-found', `expand volume ${id}: there is none`);
      if (row.state !== 'ready') throw fail('failed-precondition', `expand volume ${id}: it is being deleted`);
      if (row.capacity === 0n || row.capacity >= capacity) return;
      yield* write(setVolumeCapacity(id, capacity), setQuota(row.inode, { maxSpace: capacity }));
    },
    { durable: true },
  );
  return engine.view(function* (): Op<bigint> {
    const [[row]] = yield* read(volumeById(id));
    if (row === undefined) throw fail('not-found', `expand volume ${id}: there is none`);
    const [[quota]] = yield* read(quotaOf(row.inode));
    return quota?.maxSpace ?? 0n;
  });
}

/** From here on the volume only goes away; repeated calls are fine, a volume without a row too. */
export function markDeleting(engine: Engine, id: string): Promise<VolumeRow | undefined> {
  return engine.run(
    function* (): Op<VolumeRow | undefined> {
      const [, lock, [row]] = yield* read(lockFigures, conversionRows, volumeById(id, true));
      refuseConversion(`delete volume ${id}`, lock);
      if (row === undefined || row.state === 'deleting') return row;
      yield* write(setVolumeState(id, 'deleting'));
      return { ...row, state: 'deleting' };
    },
    { durable: true },
  );
}

/** Whether some client has the file system mounted, by its sessions. */
export async function isMounted(engine: Engine): Promise<boolean> {
  const now = nowNs() / 1_000_000_000n;
  return engine.view(function* (): Op<boolean> {
    const [[count]] = yield* read(liveSessions(now));
    return (count ?? 0n) > 0n;
  });
}

/** Whether a volume or snapshot besides this one is in the file system. */
export async function hasOtherVolumes(engine: Engine, id: string): Promise<boolean> {
  return engine.view(function* (): Op<boolean> {
    const [[count]] = yield* read(otherVolumes(id));
    return (count ?? 0n) > 0n;
  });
}
