// `npm run image`: builds the container image as an OCI archive, without a container engine and without root, and with
// --rootfs its root file system only (deploy/Dockerfile takes that). Plain JavaScript for Node 20.
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildAddon } from './addon.mjs';
import { buildDist } from './build.mjs';
import { installDependencies } from './dependencies.mjs';
import { architecture, imageConfig, writeArchive } from './image/archive.mjs';
import { buildRootfs } from './image/rootfs.mjs';
import { cacheHere, node, root, StepFailed, say } from './step.mjs';

const usage = `usage: node setup/image.mjs [--output FILE] [--name NAME:TAG] [--plain] [--rootfs DIR]
  --output FILE     the archive (default: build/pageseal-VERSION-ARCHITECTURE.tar)
  --name NAME:TAG   the image's name in it (default: ghcr.io/pageseal/pageseal:VERSION)
  --plain           leave the layer uncompressed: larger, and sooner built and loaded
  --rootfs DIR      make the root file system in this new folder, and no archive unless --output is given, too`;
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** A name that every tool reads alike: registry and path in lower case, and a tag. */
const NAME = /^[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

export async function buildImage({ output, name = `ghcr.io/pageseal/pageseal:${version}`, plain = false, rootfs }) {
  if (!NAME.test(name)) throw new StepFailed(`--name: wanted NAME:TAG, found ${name}`);
  prepare();
  const own = rootfs === undefined ? mkdtempSync(join(tmpdir(), 'pageseal-image-')) : undefined;
  const target = resolve(rootfs ?? join(own, 'rootfs'));
  try {
    say(`making the root file system${rootfs === undefined ? '' : ` in ${target}`}`);
    buildRootfs({ root, node, target });
    const { files, bytes } = measure(target);
    say(`root file system: ${files} files, ${mebibytes(bytes)}`);
    if (rootfs !== undefined && output === undefined) return;
    const file = resolve(output ?? join(root, `build/pageseal-${version}-${architecture}.tar`));
    mkdirSync(dirname(file), { recursive: true });
    const config = imageConfig(version);
    const built = await writeArchive({ rootfs: target, output: file, name, config, compress: !plain });
    say(`${file}: ${name}, linux/${architecture}, ${mebibytes(built.archiveBytes)}, ${built.digest}`);
  } finally {
    if (own !== undefined) rmSync(own, { recursive: true, force: true });
  }
}

function prepare() {
  if (process.platform !== 'linux') throw new StepFailed('the image is built on Linux');
  cacheHere();
  installDependencies();
  buildAddon(say);
  buildDist();
}

function measure(folder) {
  const sum = { files: 0, bytes: 0 };
  for (const name of readdirSync(folder, { recursive: true })) {
    const stat = lstatSync(join(folder, name));
    if (stat.isFile()) {
      sum.files++;
      sum.bytes += stat.size;
    }
  }
  return sum;
}

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

async function main() {
  const options = { output: 'string', name: 'string', rootfs: 'string', plain: 'boolean', help: 'boolean' };
  const { values } = parseArgs({
    options: Object.fromEntries(Object.entries(options).map(([name, type]) => [name, { type }])),
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  await buildImage(values);
}

if (
  process.argv[1] !== undefined &&
  existsSync(process.argv[1]) &&
  resolve(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof StepFailed) && !String(error.code).startsWith('ERR_PARSE_ARGS')) throw error;
    process.stderr.write(`pageseal: image: ${error.message}\n`);
    process.exitCode = 1;
  }
}
