// The part of a volume that a path names. Names are looked up one by one, without rules: the tree may be damaged.
import { fail } from '../../base/errors.ts';
import { edgeByName } from '../meta/statements.ts';
import { ROOT } from '../meta/types.ts';
import { type Engine, read } from '../sql/op.ts';
import type { Scope } from './checks.ts';

export async function scopeOf(engine: Engine, path: string, recursive: boolean): Promise<Scope> {
  let ino = ROOT;
  for (const name of path.split('/').filter((part) => part !== '')) {
    const parent = ino;
    const [[edge]] = await engine.view(() => read(edgeByName(parent, Buffer.from(name))));
    if (edge === undefined) throw fail('not-found', `check ${path}: no such path`);
    ino = edge.ino;
  }
  return { ino, recursive };
}
