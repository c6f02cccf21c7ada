// The two ends of `mount -d`: the command starts a keeper for this one mount and waits for its first word; the keeper
// takes the secrets from a pipe, never from its arguments or environment.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { wipe } from '../../base/bytes.ts';
import { type ErrorCode, FsError, fail } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { type Handoff, packHandoff, unpackHandoff, type WorkerSettings } from '../../keeper/handoff.ts';
import { ownerOf } from '../../keeper/owner.ts';
import { Volume } from '../../keeper/volume.ts';
import { native } from '../../native/native.ts';
import { thisProgram } from '../program.ts';
import { metricsSocketOf, removeRecord, writeRecord } from './record.ts';

/** Descriptor on which the keeper says how the start went. */
const ANSWER = 3;

interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** Resolves when the mount answers; rejects with what the worker said. */
export async function mountInBackground(handoff: Handoff, logFile: string): Promise<void> {
  const program = thisProgram();
  const output = openLog(logFile);
  const child = spawn(program.file, [...program.args, 'mount-keeper'], {
    detached: true,
    cwd: '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
    stdio: ['pipe', output, output, 'pipe'],
  });
  closeSync(output);
  const packed = packHandoff(handoff);
  wipe(handoff.pem, handoff.passphrase);
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (error) => reject(FsError.from(error, 'starting the keeper of the mount')));
  });
  child.stdin?.on('error', () => undefined); // it ended; its answer says why
  child.stdin?.end(packed, () => wipe(packed));
  const answer = await Promise.race([text(child.stdio[ANSWER] as Readable), failed]);
  if (answer === '')
    throw fail('internal', 'mounting in the background: the keeper ended without an answer', {
      hint: `see ${logFile}`,
    });
  const failure = (JSON.parse(answer) as { failure?: Failure }).failure;
  if (failure !== undefined)
    throw new FsError(failure.code, failure.message, failure.hint === undefined ? {} : { hint: failure.hint });
  child.unref();
}

function openLog(file: string): number {
  try {
    return openSync(file, 'a', 0o600);
  } catch (error) {
    throw fail('bad-input', `opening the log ${file}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
      hint: '--log names another file',
    });
  }
}

/** The keeper's end; resolves when the mount is gone. */
export async function keepOneMount(): Promise<void> {
  native.setDumpable(false);
  const packed = readFileSync(0);
  const handoff = unpackHandoff(packed);
  const { mountPoint, metaUrl } = handoff.settings;
  const over = Promise.withResolvers<'ended' | 'lost'>();
  let volume: Volume;
  try {
    volume = await Volume.open({
      id: mountPoint,
      program: thisProgram(),
      owner: ownerOf(metaUrl),
      mountPoint,
      handoff,
      over: over.resolve,
      metricsSocket: metricsSocketOf(mountPoint),
    });
    writeRecord(handoff.settings);
  } catch (thrown) {
    const { code, message, hint } = FsError.from(thrown, `mounting at ${mountPoint}`);
    answer({ failure: { code, message, hint } });
    return;
  } finally {
    wipe(packed);
  }
  answer({});
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => over.resolve('ended'));
  await over.promise;
  await end(volume, handoff.settings);
}

async function end(volume: Volume, settings: WorkerSettings): Promise<void> {
  const { mountPoint } = volume;
  try {
    await volume.close({ detach: true });
  } catch (error) {
    log.error('unmounting failed', { mountPoint, error: FsError.from(error).message });
  }
  if (volume.flushError === undefined) removeRecord(mountPoint);
  else writeRecord(settings, volume.flushError);
}

function answer(said: { failure?: Failure }): void {
  writeSync(ANSWER, JSON.stringify(said));
  closeSync(ANSWER);
}
