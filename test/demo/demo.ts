// `npm run demo`: an encrypted volume from key to bytes, through the gRPC calls that a kubelet and a provisioner make, on
// real processes, mounts and files. Shows each step, ends with figures, leaves nothing behind.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CsiNode, type PublishedVolume } from '../harness/csi-node.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { Temp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';
import { describeHeader, findText, listObjects } from './objects.ts';
import { progress, say, step } from './progress.ts';
import { compareTree, copyTree, type Entry, listTree } from './tree.ts';

/** Entries of node_modules that are copied: several thousand files, within the minute on a small machine. */
const MAX_ENTRIES = 5000;
const PASSPHRASE = 'a passphrase of the demo';
/** Stands in a file of the volume, and in thousands of the tree's. */
const MARK = 'this text must not be readable in the object store';
const PLAIN_TEXTS = [MARK, 'use strict', 'Permission is hereby granted', 'package.json', 'node_modules', '"version"'];
const CAPACITY = (2n ** 30n).toString();
/** A page of its own, so that damage to it is damage to one file. */
const VICTIM_BYTES = 300_000;

const temp = new Temp();
const csi = new CsiNode(temp);
const began = performance.now();
const results: string[] = [];

class DemoFailed extends Error {}

function check(condition: boolean, text: string): void {
  if (!condition) throw new DemoFailed(text);
}

async function main(): Promise<void> {
  const secrets = await step('make an RSA-2048 key with openssl, sealed under a passphrase', async () => {
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    return {
      controller: { 'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8') },
      node: { 'rsa-key': readFileSync(key.file, 'utf8'), passphrase: PASSPHRASE },
    };
  });
  await step('start keeper, controller and node plugin (embedded defaults: SQLite, local folder)', () => csi.start());
  const volume = await step('CreateVolume, with the public half of the key only', () =>
    csi.create('pvc-demo', secrets.controller, {
      capacityRange: { requiredBytes: CAPACITY },
      parameters: { compression: 'zstd' },
    }),
  );
  const mount = (): Promise<string> => mountVolume(volume, secrets.node);
  const source = join(root, 'node_modules');
  const entries = await listTree(source, MAX_ENTRIES);
  const first = await step('NodeStageVolume and NodePublishVolume: a worker opens the key, the kernel mounts', mount);
  await copyInto(first, source, entries);
  await unmountVolume(volume, 'NodeUnpublishVolume and NodeUnstageVolume: everything is flushed, the worker ends');

  await step('a wrong passphrase', async () => {
    const wrong = { ...secrets.node, passphrase: 'guess' };
    const code = await csi.node.code('Node', 'nodeStageVolume', csi.stageRequest(volume, wrong));
    check(code === 'UNAUTHENTICATED', `a wrong passphrase was answered with ${code}`);
    results.push('wrong passphrase    refused with UNAUTHENTICATED, nothing mounted');
  });
  const second = await step('stage and publish again', mount);
  await verify(second, source, entries);
  await unmountVolume(volume, 'unpublish and unstage');
  await step('look at the object store as its provider does', () => inspect(volume));
  await damage(volume, mount);
  await step('DeleteVolume', async () => {
    await csi.delete(volume, secrets.controller);
    const left = listObjects(csi.embedded);
    check(left.length === 0, `${left.length} files are left in database and object store`);
    results.push('deleted             0 objects and 0 database files left');
  });
}

async function mountVolume(volume: PublishedVolume, secrets: object): Promise<string> {
  await csi.stage(volume, secrets);
  return csi.publish(volume, 'demo-pod', secrets);
}

const unmountVolume = (volume: PublishedVolume, text: string): Promise<void> =>
  step(text, async () => {
    await csi.unpublish(volume, 'demo-pod');
    await csi.unstage(volume);
    check(temp.mounts().length === 0, 'a mount is left');
  });

const isFile = ({ kind }: Entry): boolean => kind === 'file';
const sizeOf = (entries: readonly Entry[]): number => entries.reduce((sum, { size }) => sum + size, 0);
const MB = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

async function copyInto(mount: string, source: string, entries: readonly Entry[]): Promise<void> {
  const files = entries.filter(isFile).length;
  const start = performance.now();
  await step(`copy ${files} files (${MB(sizeOf(entries))}) of node_modules into the volume`, async () => {
    mkdirSync(join(mount, 'tree'));
    await copyTree(source, join(mount, 'tree'), entries, progress);
    writeFileSync(join(mount, 'marked.txt'), `${MARK}\n`.repeat(100));
    writeFileSync(join(mount, 'victim.bin'), victimBytes(), { flush: true });
  });
  results.push(`copied              ${files} files, ${MB(sizeOf(entries))}, in ${seconds(start)}`);
}

/** Does not compress, so its page is as large as it is. */
const victimBytes = (): Buffer => {
  const bytes = Buffer.alloc(VICTIM_BYTES);
  let x = 1;
  for (let at = 0; at < bytes.length; at++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = x >>> 24;
  }
  return bytes;
};

async function verify(mount: string, source: string, entries: readonly Entry[]): Promise<void> {
  const start = performance.now();
  await step('compare every byte with the original', async () => {
    const different = await compareTree(source, join(mount, 'tree'), entries, progress);
    check(different.length === 0, `${different.length} entries differ, the first is ${different[0]}`);
    check((await readFile(join(mount, 'victim.bin'))).equals(victimBytes()), 'victim.bin differs');
  });
  results.push(`verified            ${entries.length} entries after a new mount, 0 differ, in ${seconds(start)}`);
}

const bucketOf = (volume: PublishedVolume): string => join(csi.embedded, volume.volumeContext['fs'] ?? '', 'objects');

async function inspect(volume: PublishedVolume): Promise<void> {
  const objects = listObjects(bucketOf(volume));
  const pages = objects.filter(({ path }) => path.includes('/chunks/'));
  const page = pages[0];
  if (page === undefined) throw new DemoFailed('the object store holds no page');
  const readable = findText(objects, PLAIN_TEXTS);
  check(readable.length === 0, `${readable.length} objects hold plain text, the first is ${readable[0]}`);
  say(`    an object: ${page.path.slice(bucketOf(volume).length)}`);
  say(`    its bytes: ${describeHeader(page.path)}`);
  const stored = objects.reduce((sum, { bytes }) => sum + bytes, 0);
  results.push(`stored              ${objects.length} objects, ${MB(stored)}, AES-256-GCM, a key per page`);
  results.push(`searched            ${PLAIN_TEXTS.length} plain texts in every object, 0 found`);
}

/** Flips a bit in the one page of the victim's size, while nothing is mounted, and reads the file. */
async function damage(volume: PublishedVolume, mount: () => Promise<string>): Promise<void> {
  await step('flip one bit of one object, mount and read its file', async () => {
    const victim = listObjects(bucketOf(volume)).find(({ path }) => path.endsWith(`_${VICTIM_BYTES}`));
    if (victim === undefined) throw new DemoFailed('the page of victim.bin is not in the object store');
    const bytes = readFileSync(victim.path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(victim.path, bytes);
    const path = await mount();
    const code = await readFile(join(path, 'victim.bin')).then(
      () => 'no error',
      (error: NodeJS.ErrnoException) => error.code ?? 'no code',
    );
    check(code === 'EIO', `reading the damaged file gave ${code}`);
    check((await stat(join(path, 'victim.bin'))).size === VICTIM_BYTES, 'the damaged file has another size');
    check((await readFile(join(path, 'marked.txt'), 'utf8')).startsWith(MARK), 'another file is damaged too');
    results.push('damaged object      reading its file fails with EIO, all others go on');
  });
  await unmountVolume(volume, 'unpublish and unstage');
}

/** The processes take their mounts along; what is left after a failure goes by force. */
async function cleanUp(): Promise<void> {
  await csi.stop().catch(() => undefined);
  await temp.remove();
}

function needed(): void {
  const { skip } = needs('root', 'fuse', 'openssl', 'the addon');
  if (skip !== undefined) throw new DemoFailed(skip);
}

function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(name, () => reject(new DemoFailed(`stopped by ${name}`)));
  });
}

async function run(): Promise<void> {
  try {
    needed();
    await Promise.race([main(), interrupted()]);
  } finally {
    await step('clean up', cleanUp);
  }
}

try {
  await run();
  say('\nShown:');
  for (const line of results) say(`  ${line}`);
  say(`  left behind         no mount, no process, no file; ${seconds(began)} in all`);
} catch (error) {
  say(`\ndemo failed: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
