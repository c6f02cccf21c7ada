// deploy/Dockerfile gives the image that `npm run image` builds: the same root file system, and the same said about it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { root } from '../harness/tools.ts';

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
/** Instructions of the last stage, with continued lines joined. */
const text = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8').replace(/\\\n\s*/g, '');
const last = text.slice(text.lastIndexOf('\nFROM ') + 1);
const instruction = (name: string): string[] =>
  [...last.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, rest = '']) => rest);

test('one root file system, by the same program', () => {
  assert.match(text, /setup\/image\.mjs --rootfs \/rootfs$/m);
  assert.deepEqual(instruction('FROM'), ['scratch']);
  assert.deepEqual(instruction('COPY'), ['--from=build /rootfs/ /']);
  for (const name of ['RUN', 'ADD', 'USER', 'CMD', 'EXPOSE', 'VOLUME']) assert.deepEqual(instruction(name), [], name);
});

test('the same entry point, environment, folder and labels', async () => {
  const { imageConfig } = await import(pathToFileURL(join(root, 'setup/image/archive.mjs')).href);
  const { Entrypoint, Env, WorkingDir, Labels, ...rest } = imageConfig(version);
  assert.deepEqual(rest, {});
  assert.deepEqual(
    instruction('ENTRYPOINT').map((list) => JSON.parse(list)),
    [Entrypoint],
  );
  assert.deepEqual(instruction('ENV'), Env);
  assert.deepEqual(instruction('WORKDIR'), [WorkingDir]);
  const said = instruction('LABEL').flatMap((line) => [...line.matchAll(/([\w.]+)=("[^"]*")/g)]);
  assert.deepEqual(Object.fromEntries(said.map(([, name, value = '']) => [name, JSON.parse(value)])), Labels);
});
