// What concerns the whole file system: statfs, syncfs, destroy.
import { statfsBody } from '../reply.ts';
import type { Handler } from './handler.ts';

export const statfs: Handler = async ({ vfs, nodes }, request) =>
  statfsBody(await vfs.statfs(request, nodes.toIno(request.node)));

export const flushAll: Handler = async ({ vfs }) => {
  await vfs.flushAll();
  return undefined;
};
