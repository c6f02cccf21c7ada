// The gRPC server of a CSI process on its unix socket: readable by its owner only, replacing a socket that a dead
// predecessor left, never one that somebody still serves.
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { KiB } from '../base/units.ts';
import { Locks } from './locks.ts';
import { definitionOf, type ServiceName } from './proto.ts';
import type { Methods } from './unary.ts';

/** Requests are names, paths and Secrets; nothing near this is one. */
const MAX_REQUEST = 512 * KiB;
/** How long running calls may take to end when the process is told to. */
const SHUTDOWN_MS = 10_000;

export interface RunningServer {
  close(): Promise<void>;
}

/** "unix:///run/csi.sock" or "unix:/run/csi.sock" to its path. */
export function socketOf(endpoint: string): string {
  const match = /^unix:(?:\/\/)?(\/[^\0]+)$/.exec(endpoint);
  if (match?.[1] === undefined) throw fail('bad-input', 'endpoint: wanted unix:///absolute/path');
  return match[1];
}

async function removeStale(socket: string): Promise<void> {
  const found = await lstat(socket).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw fail('refused', `endpoint ${socket}: is there and no socket`);
  const served = await new Promise<boolean>((resolve) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (served) throw fail('busy', `endpoint ${socket}: another process serves it`);
  await unlink(socket);
}

export async function serve(endpoint: string, services: Partial<Record<ServiceName, Methods>>): Promise<RunningServer> {
  const socket = socketOf(endpoint);
  await removeStale(socket);
  const server = new Server({ 'grpc.max_receive_message_length': MAX_REQUEST });
  for (const [name, methods] of Object.entries(services) as [ServiceName, Methods][]) {
    const locks = new Locks();
    const handlers = Object.entries(methods).map(([method, make]) => [method, make({ method, locks, log })]);
    server.addService(definitionOf(name), Object.fromEntries(handlers));
  }
  // The socket must not be open to others even between bind and chmod.
  const umask = process.umask(0o177);
  try {
    await bind(server, socket);
  } finally {
    process.umask(umask);
  }
  await chmod(socket, 0o600);
  return { close: () => shutDown(server, socket) };
}

function bind(server: Server, socket: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(fail('bad-input', `endpoint ${socket}: cannot be bound`, { cause: error }));
    });
  });
}

async function shutDown(server: Server, socket: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, SHUTDOWN_MS);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
  await unlink(socket).catch(() => undefined);
}
