// One repair for each kind of damage to the tree. A repair states what it did, or answers undefined when it left things as
// they are. Statements take their figures from the rows at the moment they run.

import { shown } from '../meta/names.ts';
import { bigintAt, bytesAt } from '../meta/rows.ts';
import { parentsOf, symlinkTarget } from '../meta/statements.ts';
import { type Ino, NodeType, ROOT, TRASH } from '../meta/types.ts';
import { type Change, change, type Engine, type Op, type Query, query, type Row, read, write } from '../sql/op.ts';
import type { DamageKind } from './checks.ts';
import { freeName, Restorer } from './restore.ts';
import { childDirectories, edgesOf } from './tree.ts';

export type Repair = (row: Row) => Promise<string | undefined>;

const at = (row: Row, i: number): bigint => bigintAt(row, i);

/** What may be done while others work: one row, by a statement that looks at the rows itself. */
export const safeWithOthers: ReadonlySet<DamageKind> = new Set([
  'behind-inodes', 'behind-slices', 'behind-sessions', 'behind-trash', 'wrong-parent', 'wrong-links',
  'wrong-directory-links', 'stray-target', 'stray-attribute', 'stray-quota', 'stray-sums',
]); // biome-ignore format: a table reads better than a column

export class TreeRepairs {
  readonly #engine: Engine;
  readonly #restore: Restorer;

  constructor(engine: Engine, directoryMode: number) {
    this.#engine = engine;
    this.#restore = new Restorer(engine, directoryMode);
  }

  /** Undefined for damage that other steps mend, or that nothing does. */
  of(kind: DamageKind): Repair | undefined {
    return this.#repairs[kind];
  }

  readonly #repairs: Partial<Record<DamageKind, Repair>> = {
    'behind-inodes': (row) => this.#raise('nextInode', at(row, 0)),
    'behind-slices': (row) => this.#raise('nextChunk', at(row, 0)),
    'behind-sessions': (row) => this.#raise('nextSession', at(row, 0)),
    'behind-trash': (row) => this.#raise('nextTrash', at(row, 0)),
    'entry-without-node': (row) => this.#nodeOfEntry(row),
    'entry-without-directory': async (row) => {
      const ino = at(row, 1);
      const place = await this.#restore.directory(ino, undefined);
      return `directory ${ino} made again, in ${place}`;
    },
    'entry-in-no-directory': (row) => this.#moveAway(at(row, 0), at(row, 2)),
    'wrong-entry-type': async (row) => {
      await this.#do(
        change(
          'UPDATE jfs_edge SET type = (SELECT n.type FROM jfs_node n WHERE n.inode = jfs_edge.inode) WHERE id = ?',
          at(row, 3),
        ),
      );
      return `entry of inode ${at(row, 0)}: type set to ${at(row, 2)}`;
    },
    'bad-name': (row) => this.#rename(at(row, 0), at(row, 1), at(row, 2)),
    'several-entries': (row) => this.#oneEntry(at(row, 0)),
    unreachable: (row) => this.#openLoop(at(row, 0)),
    'stray-chunk': (row) => this.#strayData(at(row, 0)),
    'no-entry': async (row) =>
      `inode ${at(row, 0)} put into ${await this.#restore.attach(at(row, 0), Number(at(row, 1)) as NodeType)}`,
    'link-without-target': (row) => this.#dropLink(at(row, 0)),
    'wrong-parent': async (row) => {
      await this.#do(
        change(
          `UPDATE jfs_node SET parent = CASE WHEN (SELECT COUNT(*) FROM jfs_edge e WHERE e.inode = jfs_node.inode) = 1
             THEN (SELECT MIN(e.parent) FROM jfs_edge e WHERE e.inode = jfs_node.inode) ELSE 0 END WHERE inode = ?`,
          at(row, 0),
        ),
      );
      return `inode ${at(row, 0)}: parent set to where its entry is`;
    },
    'wrong-links': async (row) => {
      await this.#do(change(`UPDATE jfs_node AS n SET nlink = ${edgesOf} WHERE n.inode = ?`, at(row, 0)));
      return `inode ${at(row, 0)}: link count set from ${at(row, 1)} to ${at(row, 2)}`;
    },
    'wrong-directory-links': async (row) => {
      await this.#do(change(`UPDATE jfs_node AS n SET nlink = 2 + ${childDirectories} WHERE n.inode = ?`, at(row, 0)));
      return `directory ${at(row, 0)}: link count set from ${at(row, 1)} to ${at(row, 2)}`;
    },
    'stray-target': (row) => this.#forget('jfs_symlink', row, 'link target'),
    'stray-attribute': (row) => this.#forget('jfs_xattr', row, 'extended attributes'),
    'stray-quota': (row) => this.#forget('jfs_dir_quota', row, 'quota'),
    'stray-sums': (row) => this.#forget('jfs_dir_stats', row, 'sums'),
    'stray-detached': (row) => this.#forget('jfs_detached_node', row, 'mark of half a clone'),
    'stray-sustained': (row) => this.#forget('jfs_sustained', row, 'mark of an open file'),
    'stray-delfile': (row) => this.#forget('jfs_delfile', row, 'mark of a deleted file'),
  };

  async #raise(counter: string, least: bigint): Promise<string> {
    await this.#do(
      change(
        `INSERT INTO jfs_counter (name, value) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE jfs_counter.value < excluded.value`,
        counter,
        least,
      ),
    );
    return `counter ${counter} raised to ${least}`;
  }

  async #forget(table: string, row: Row, what: string): Promise<string> {
    await this.#do(change(`DELETE FROM ${table} WHERE inode = ?`, at(row, 0)));
    return `inode ${at(row, 0)}: ${what} dropped`;
  }

  /** An entry without its node: the node is made again where something of it is left. */
  async #nodeOfEntry(row: Row): Promise<string | undefined> {
    const [parent, ino, edge, type] = [at(row, 0), at(row, 1), at(row, 2), Number(at(row, 3))];
    // Made again for another entry of it.
    if (await this.#has(typeOf(ino))) return undefined;
    const entry = `entry ${shown(bytesAt(row, 4))} of directory ${parent}`;
    if (type === NodeType.directory) {
      await this.#restore.directory(ino, parent);
      return `${entry}: directory ${ino} made again`;
    }
    if (type === NodeType.file && (await this.#has(dataOf(ino))) && !(await this.#has(deletedFile(ino)))) {
      await this.#restore.file(ino, parent);
      return `${entry}: file ${ino} made again around its data, owned by root`;
    }
    const [target] = type === NodeType.symlink ? await this.#look(symlinkTarget(ino)) : [];
    if (target !== undefined) {
      await this.#restore.symlink(ino, parent, target);
      return `${entry}: symbolic link ${ino} made again`;
    }
    await this.#do(change('DELETE FROM jfs_edge WHERE id = ?', edge));
    return `${entry}: removed, nothing is left of inode ${ino}`;
  }

  /** An entry that lies in something else than a directory. */
  async #moveAway(ino: Ino, edge: bigint): Promise<string> {
    await this.#do(change('DELETE FROM jfs_edge WHERE id = ?', edge));
    const left = await this.#look(parentsOf(ino));
    if (left.length > 0) return `inode ${ino}: an entry that lay in no directory removed, it has others`;
    const [type = 1n] = await this.#look(typeOf(ino));
    return `inode ${ino} put into ${await this.#restore.attach(ino, Number(type) as NodeType)}: its entry lay in no directory`;
  }

  /** A name that no client can ask for becomes one that says what it leads to. */
  async #rename(parent: Ino, ino: Ino, edge: bigint): Promise<string> {
    const name = await this.#engine.run(function* (): Op<string> {
      const free = yield* freeName(parent, `#${ino}`);
      yield* write(change('UPDATE jfs_edge SET name = ? WHERE id = ?', Buffer.from(free), edge));
      return free;
    });
    return `entry of inode ${ino} in directory ${parent} renamed to ${name}`;
  }

  /** The entry that the directory itself knows of stays, else the oldest. */
  async #oneEntry(ino: Ino): Promise<string> {
    await this.#do(
      change(
        `DELETE FROM jfs_edge WHERE inode = ? AND id <> (SELECT e.id FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode
           WHERE e.inode = ? ORDER BY CASE WHEN e.parent = n.parent THEN 0 ELSE 1 END, e.id LIMIT 1)`,
        ino,
        ino,
      ),
    );
    return `directory ${ino}: entries beyond the one in its parent removed`;
  }

  /** Upwards until something comes again: that lies in the loop, and is put where it can be reached. */
  async #openLoop(from: Ino): Promise<string | undefined> {
    const seen = new Set<Ino>();
    let ino = from;
    while (!seen.has(ino)) {
      seen.add(ino);
      const [parent] = await this.#look(parentsOf(ino));
      if (parent === undefined || parent === ROOT || parent === TRASH) return undefined;
      ino = parent;
    }
    await this.#do(change('DELETE FROM jfs_edge WHERE inode = ?', ino));
    return `directory ${ino}, part of a loop, put into ${await this.#restore.attach(ino, NodeType.directory)}`;
  }

  async #strayData(ino: Ino): Promise<string> {
    const [type] = await this.#look(typeOf(ino));
    const place = type === undefined ? await this.#restore.file(ino, undefined) : await this.#restore.dataAsFile(ino);
    return `data of inode ${ino}, which was no file, put into ${place}`;
  }

  /** There is nothing in a link but its target. */
  async #dropLink(ino: Ino): Promise<string> {
    await this.#do(
      change('DELETE FROM jfs_edge WHERE inode = ?', ino),
      change('DELETE FROM jfs_node WHERE inode = ?', ino),
      change('DELETE FROM jfs_xattr WHERE inode = ?', ino),
    );
    return `symbolic link ${ino} removed: its target is lost`;
  }

  async #do(...changes: readonly Change[]): Promise<void> {
    await this.#engine.run(function* (): Op<void> {
      yield* write(...changes);
    });
  }

  async #look<T>(asked: Query<T>): Promise<T[]> {
    const [found] = await this.#engine.view(() => read(asked));
    return found;
  }

  async #has(asked: Query<bigint>): Promise<boolean> {
    return (await this.#look(asked)).length > 0;
  }
}

const typeOf = (ino: Ino): Query<bigint> =>
  query('SELECT type FROM jfs_node WHERE inode = ?', [ino], (row) => bigintAt(row, 0));
const dataOf = (ino: Ino): Query<bigint> =>
  query('SELECT id FROM jfs_chunk WHERE inode = ? LIMIT 1', [ino], (row) => bigintAt(row, 0));
const deletedFile = (ino: Ino): Query<bigint> =>
  query('SELECT inode FROM jfs_delfile WHERE inode = ?', [ino], (row) => bigintAt(row, 0));
