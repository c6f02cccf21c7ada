// Two mounts of one volume, and processes on them that report what each call gave.
import assert from 'node:assert/strict';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import type { Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { ModelClient } from '../model/judge.ts';

export const A = 0;
export const B = 1;
export const wanted = needs('root', 'fuse', 'python3', 'openssl', 'the addon');
/** Of a file: more than any here has. */
export const everything = { at: 0, len: 1 << 20 };

export type Ask = (m: number, op: string, order: object) => Promise<unknown>;

interface Process {
  /** What the call answered; it has to succeed. */
  readonly ask: Ask;
  /** Its errno, 0 for success. */
  readonly try: (m: number, op: string, order: object) => Promise<number>;
  readonly end: () => Promise<void>;
}

export interface TwoMounts extends Process {
  /** Another process, that works beside the first. */
  readonly another: () => Process;
}

function begin(temp: Temp, tops: readonly string[]): Process {
  const client = new ModelClient(temp, tops);
  const ask: Ask = async (m, op, order) => {
    const { e, v } = await client.ask({ m, op, ...order });
    assert.equal(e, 0, `${op} ${JSON.stringify(order)} on mount ${m}`);
    return v;
  };
  return { ask, try: async (m, op, order) => (await client.ask({ m, op, ...order })).e, end: () => client.end() };
}

/** With the usual lifetimes, unless the flags of B say otherwise. */
export async function twoMounts(temp: Temp, trashDays: number, flagsOfB: readonly string[] = []): Promise<TwoMounts> {
  const key = await makeKey(temp, 2048, 'pkcs8');
  const pageseal = new Pageseal(temp);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const format = ['--rsa-key', key.file, '--block-size', '64K', '--trash-days', `${trashDays}`];
  await pageseal.formatAt(place, 'semantics', format);
  const tops = ['a', 'b'].map((name) => temp.folder(name));
  for (const [m, top] of tops.entries())
    await pageseal.mount(metaUrl, top, ['--rsa-key', key.file, ...(m === B ? flagsOfB : [])]);
  return { ...begin(temp, tops), another: () => begin(temp, tops) };
}
