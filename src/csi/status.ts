// An error as gRPC carries it. The table of codes is base/grpc-status.ts; details stay empty, as CSI asks.
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { CODE_METADATA, grpcStatus, presentable, statusNameOf } from '../base/grpc-status.ts';

/** A status message is shown in Events and conditions; what is longer says no more. */
const MAX_MESSAGE = 1024;

export type RpcError = Partial<StatusObject> & Error;

export function rpcErrorOf(thrown: unknown): RpcError {
  const error = presentable(thrown);
  const metadata = new Metadata();
  metadata.set(CODE_METADATA, error.code);
  const text = error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
  const details = text.slice(0, MAX_MESSAGE);
  return Object.assign(new Error(details), { code: grpcStatus[statusNameOf(error.code)], details, metadata });
}
