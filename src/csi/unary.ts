// The one wrapper around every RPC: checks the request, holds the volume's lock, maps errors, writes one log line. The
// line is an allow-list (method, volume, code, duration): requests hold Secrets and are never printed.
import type { handleUnaryCall } from '@grpc/grpc-js';
import type { z } from 'zod';
import { presentable, statusNameOf } from '../base/grpc-status.ts';
import type { Log } from '../base/log.ts';
import { counter, timer } from '../base/metrics.ts';
import { check } from '../config/check.ts';
import type { Locks } from './locks.ts';
import { rpcErrorOf } from './status.ts';

export interface Rpc<Q> {
  readonly request: z.ZodType<Q>;
  /** What is locked while the handler runs; none: nothing. */
  readonly lock?: (request: Q) => string;
  /** For the log line. */
  readonly volume?: (request: Q) => string;
  readonly run: (request: Q) => Promise<object>;
  /** Called every few seconds by probes: a line per call would drown the others. */
  readonly quiet?: boolean;
}

/** Methods of a service; built by `rpc` so that each keeps its own request type. */
export type Methods = Readonly<Record<string, (context: CallContext) => handleUnaryCall<unknown, object>>>;

export interface CallContext {
  readonly method: string;
  readonly locks: Locks;
  readonly log: Log;
}

export function rpc<Q>(spec: Rpc<Q>): (context: CallContext) => handleUnaryCall<unknown, object> {
  return (context) => (call, callback) => {
    void answer(spec, context, call.request).then(
      (reply) => callback(null, reply),
      (thrown: unknown) => callback(rpcErrorOf(thrown)),
    );
  };
}

async function answer<Q>(spec: Rpc<Q>, { method, locks, log }: CallContext, raw: unknown): Promise<object> {
  const started = performance.now();
  let volume: string | undefined;
  const ms = (): number => Math.round(performance.now() - started);
  const calls = timer('pageseal_csi_calls', 'Calls of the kubelet and the sidecars', { name: 'method', value: method });
  try {
    const request = check(spec.request, raw, method);
    volume = spec.volume?.(request);
    const key = spec.lock?.(request);
    const run = (): Promise<object> => spec.run(request);
    const reply = key === undefined ? await run() : await locks.run(key, run);
    log[spec.quiet === true ? 'debug' : 'info']('call', { method, volume, code: 'OK', ms: ms() });
    return reply;
  } catch (thrown) {
    const error = presentable(thrown);
    const label = { name: 'code', value: statusNameOf(error.code) };
    counter('pageseal_csi_call_failures_total', 'Calls that ended with an error', label).inc();
    log.warn('call failed', { method, volume, code: statusNameOf(error.code), reason: error.code, ms: ms() });
    if (error !== thrown || error.code === 'internal') log.error('unexpected failure', { method, ...placeOf(thrown) });
    throw error;
  } finally {
    calls.add(performance.now() - started);
  }
}

/** Where something unexpected was thrown; its message may quote what it choked on and is left out. */
function placeOf(thrown: unknown): { name: string; stack: string } {
  if (!(thrown instanceof Error)) return { name: typeof thrown, stack: '' };
  const frames = (thrown.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { name: thrown.name, stack: frames.map((frame) => frame.trim()).join(' < ') };
}
