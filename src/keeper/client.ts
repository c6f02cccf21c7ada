// The node plugin's line to the keeper: proto/keeper.proto over its unix socket, with FsErrors. Holds no state; a keeper
// that is being replaced answers UNAVAILABLE and kubelet comes again.
import {
  type Client,
  credentials,
  loadPackageDefinition,
  type Metadata,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { domainCodes, type ErrorCode, type FsError, fail, isErrnoCode } from '../base/errors.ts';
import { CODE_METADATA, codeOfStatus, grpcStatus } from '../base/grpc-status.ts';
import type {
  BindReply,
  BindRequest,
  KeeperStats,
  KeeperVolume,
  MountReply,
  MountRequest,
  ProveRequest,
  StatRequest,
  UnbindRequest,
  UnmountRequest,
} from './messages.ts';

/** Below kubelet's two minutes for a CSI call, so that the plugin and not kubelet says what took too long. */
const CALL_DEADLINE_MS = 100_000;
/** grpc-js would wait up to two minutes between tries; a keeper is back within seconds. */
const MAX_RECONNECT_MS = 1000;

export interface Keeper {
  mount(request: MountRequest): Promise<MountReply>;
  prove(request: ProveRequest): Promise<void>;
  bind(request: BindRequest): Promise<BindReply>;
  unbind(request: UnbindRequest): Promise<void>;
  unmount(request: UnmountRequest): Promise<void>;
  stat(request: StatRequest): Promise<KeeperStats>;
  list(): Promise<readonly KeeperVolume[]>;
  close(): void;
}

export function connectKeeper(socket: string): Keeper {
  const client = new (keeperClient())(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_MS,
    'grpc.initial_reconnect_backoff_ms': 100,
  });
  const call = <T>(method: string, request: object): Promise<T> => callUnary<T>(client, method, request);
  return {
    mount: (request) => call('Mount', request),
    prove: async (request) => void (await call('Prove', request)),
    bind: (request) => call('Bind', request),
    unbind: async (request) => void (await call('Unbind', request)),
    unmount: async (request) => void (await call('Unmount', request)),
    stat: async (request) => statsOf(await call<Record<string, unknown>>('Stat', request)),
    list: async () => (await call<{ volumes: readonly KeeperVolume[] }>('List', {})).volumes,
    close: () => client.close(),
  };
}

function keeperClient(): ServiceClientConstructor {
  const file = new URL('../../proto/keeper.proto', import.meta.url).pathname;
  const loaded = loadPackageDefinition(loadSync(file, { longs: String, defaults: true })) as unknown as {
    pageseal: { keeper: { v1: { Keeper: ServiceClientConstructor } } };
  };
  return loaded.pageseal.keeper.v1.Keeper;
}

function callUnary<T>(client: Client, method: string, request: object): Promise<T> {
  const unary = (client as unknown as Record<string, unknown>)[method] as (
    request: object,
    options: { deadline: Date },
    callback: (error: ServiceError | null, reply: T) => void,
  ) => void;
  return new Promise((resolve, reject) => {
    unary.call(client, request, { deadline: new Date(Date.now() + CALL_DEADLINE_MS) }, (error, reply) => {
      if (error === null) resolve(reply);
      else reject(fromService(error, method));
    });
  });
}

/** The keeper's error as it was thrown there. */
function fromService(error: ServiceError, method: string): FsError {
  if (error.code === grpcStatus.UNAVAILABLE && sentCode(error.metadata) === undefined)
    return fail('metadata-unavailable', `keeper: cannot be reached for ${method}`, { cause: error });
  return fail(sentCode(error.metadata) ?? codeOfStatus(error.code), error.details, { cause: error });
}

const codes: ReadonlySet<string> = new Set(domainCodes);

function sentCode(metadata: Metadata | undefined): ErrorCode | undefined {
  const value = metadata?.get(CODE_METADATA)[0];
  if (typeof value !== 'string') return undefined;
  return isErrnoCode(value) || codes.has(value) ? (value as ErrorCode) : undefined;
}

function statsOf(reply: Record<string, unknown>): KeeperStats {
  const { abnormal, condition } = reply;
  const big = (name: string): bigint => BigInt(String(reply[name] ?? '0'));
  return {
    totalBytes: big('totalBytes'),
    availableBytes: big('availableBytes'),
    usedBytes: big('usedBytes'),
    totalInodes: big('totalInodes'),
    freeInodes: big('freeInodes'),
    usedInodes: big('usedInodes'),
    abnormal: abnormal === true,
    condition: String(condition ?? ''),
  };
}
