// Sets the quota of a directory: with the usage of its tree as it is, if the directory is there and not in the trash.
import { fail } from '../../base/errors.ts';
import { type Op, read, write } from '../sql/op.ts';
import { type Limits, setQuota } from './quota-rows.ts';
import { nodeById } from './statements.ts';
import { type Ino, NodeType, TRASH } from './types.ts';
import { lockFigures } from './usage-rows.ts';

export const setQuotaOp = (ino: Ino, limits: Limits): (() => Op<void>) =>
  function* () {
    const [, [node]] = yield* read(lockFigures, nodeById(ino, true));
    if (node === undefined || node.type !== NodeType.directory)
      throw fail('ENOENT', `set the quota of directory ${ino}: it is gone`);
    if (ino >= TRASH || node.parent > TRASH)
      throw fail('refused', `set the quota of directory ${ino}: nothing in the trash counts towards quotas`);
    yield* write(setQuota(ino, limits));
  };
