// The gRPC face of the keeper: proto/keeper.proto on a socket that only root can open. Logs name volume, method and code
// and nothing else of a request: requests hold secrets.
import {
  type GrpcObject,
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceClientConstructor,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { wipe } from '../base/bytes.ts';
import { FsError, fail } from '../base/errors.ts';
import { CODE_METADATA, grpcStatus, statusNameOf } from '../base/grpc-status.ts';
import { log } from '../base/log.ts';
import type { KeeperMounts } from './keeper.ts';
import type {
  BindRequest,
  Connection,
  MountRequest,
  ProveRequest,
  StatRequest,
  UnbindRequest,
  UnmountRequest,
} from './messages.ts';

/** A Secret is at most 1 MiB; a List of hundreds of volumes stays below too. */
const MAX_MESSAGE = 4 * 1024 * 1024;

export interface Service {
  /** Takes no new calls and waits for those that run. */
  close(): Promise<void>;
}

export async function serve(socket: string, keeper: KeeperMounts): Promise<Service> {
  const server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE });
  server.addService(definition().service, {
    Mount: unary('Mount', (request: MountRequest) => wiping(request, () => keeper.mount(request))),
    Prove: unary('Prove', (request: ProveRequest) => wiping(request, () => keeper.prove(request))),
    Bind: unary('Bind', (request: BindRequest) => keeper.bind(request)),
    Unbind: unary('Unbind', (request: UnbindRequest) => keeper.unbind(request)),
    Unmount: unary('Unmount', (request: UnmountRequest) => keeper.unmount(request)),
    Stat: unary('Stat', async (request: StatRequest) => decimal(await keeper.stat(request))),
    List: unary('List', async () => ({ volumes: keeper.list() })),
  });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return {
    close: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
  };
}

function definition(): ServiceClientConstructor {
  const file = new URL('../../proto/keeper.proto', import.meta.url).pathname;
  const loaded = loadPackageDefinition(loadSync(file, { longs: String, defaults: true })) as unknown as {
    pageseal: { keeper: { v1: GrpcObject & { Keeper: ServiceClientConstructor } } };
  };
  return loaded.pageseal.keeper.v1.Keeper;
}

/** What came over the socket ends with the call; workers get copies of their own. */
async function wiping<T>(
  { connection }: { readonly connection: Connection | null },
  work: () => Promise<T>,
): Promise<T> {
  if (connection === null) throw fail('bad-input', 'the connection is missing');
  try {
    return await work();
  } finally {
    wipe(connection.rsaKey, connection.passphrase);
  }
}

function unary<Request extends { volumeId?: string }, Reply>(
  method: string,
  work: (request: Request) => Promise<Reply>,
) {
  return async (call: ServerUnaryCall<Request, object>, reply: sendUnaryData<object>): Promise<void> => {
    const began = Date.now();
    const volume = call.request.volumeId;
    try {
      const result = await work(call.request);
      log.info(method, { volume, ms: Date.now() - began });
      reply(null, typeof result === 'object' && result !== null ? result : {});
    } catch (thrown) {
      const error = FsError.from(thrown, method);
      log.warn(`${method} failed`, { volume, ms: Date.now() - began, code: error.code, error: error.message });
      const metadata = new Metadata();
      metadata.set(CODE_METADATA, error.code);
      // What is unexpected stays in our log: its text may hold what a caller must not see.
      const details = thrown instanceof FsError ? error.message : 'internal error of the keeper';
      reply({ code: grpcStatus[statusNameOf(error.code)], details, metadata });
    }
  };
}

/** 64-bit numbers as proto-loader takes them. */
const decimal = (values: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).map(([name, v]) => [name, typeof v === 'bigint' ? v.toString() : v]));
