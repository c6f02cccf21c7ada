// An OCI image of one layer as an archive that `ctr images import`, skopeo, podman and docker load take.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { folderEntries, tar } from './tar.mjs';

/** Node's names for processors, as images name them. */
const architectures = { x64: 'amd64' };
export const architecture = architectures[process.arch] ?? process.arch;

const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};

/** What the image says of itself; deploy/Dockerfile says the same. */
export function imageConfig(version) {
  return {
    Env: ['PATH=/usr/local/bin'],
    Entrypoint: ['/usr/local/bin/pageseal'],
    WorkingDir: '/',
    Labels: {
      'org.opencontainers.image.title': 'pageseal',
      'org.opencontainers.image.description':
        'Kubernetes CSI driver: POSIX volumes encrypted before they leave the node',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': version,
    },
  };
}

/** Writes the archive and answers the manifest's digest and the sizes. */
export async function writeArchive({ rootfs, output, name, config, compress }) {
  const layerFile = `${output}.layer`;
  const unfinished = `${output}.new`;
  try {
    const { diffId, digest } = await writeLayer(rootfs, layerFile, compress);
    const layer = { digest, size: statSync(layerFile).size, file: layerFile };
    const blobs = describe({ diffId, layer, config, compress });
    const entries = [...blobs, ...indexFiles(blobs, name)];
    await pipeline(Readable.from(tar(inFolders(entries))), createWriteStream(unfinished));
    renameSync(unfinished, output);
    return { digest: blobs[2].digest, layerBytes: layer.size, archiveBytes: statSync(output).size };
  } finally {
    rmSync(layerFile, { force: true });
    rmSync(unfinished, { force: true });
  }
}

async function writeLayer(rootfs, file, compress) {
  const plain = createHash('sha256');
  async function* measured() {
    for await (const piece of tar(folderEntries(rootfs))) {
      plain.update(piece);
      yield piece;
    }
  }
  await pipeline(Readable.from(measured()), compress ? createGzip() : new PassThrough(), createWriteStream(file));
  const stored = createHash('sha256');
  for await (const piece of createReadStream(file)) stored.update(piece);
  return { diffId: `sha256:${plain.digest('hex')}`, digest: `sha256:${stored.digest('hex')}` };
}

/** Layer, configuration, manifest. */
function describe({ diffId, layer, config, compress }) {
  const json = (value) => {
    const content = Buffer.from(JSON.stringify(value));
    return { digest: `sha256:${createHash('sha256').update(content).digest('hex')}`, size: content.length, content };
  };
  const configBlob = json({
    created: '1970-01-01T00:00:00Z',
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'setup/image.mjs' }],
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: configBlob.digest, size: configBlob.size },
    layers: [{ mediaType: compress ? `${types.layer}+gzip` : types.layer, digest: layer.digest, size: layer.size }],
  });
  return [layer, configBlob, manifest].map((blob) => ({ ...blob, path: blobPath(blob.digest) }));
}

const blobPath = (digest) => join('blobs', digest.replace(':', '/'));

function indexFiles([layer, config, manifest], name) {
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: types.manifest,
        digest: manifest.digest,
        size: manifest.size,
        platform: { architecture, os: 'linux' },
        // containerd goes by the first, the OCI layout's own tools by the second.
        annotations: {
          'io.containerd.image.name': name,
          'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
        },
      },
    ],
  };
  // What engines before the OCI layout look for.
  const older = [{ Config: config.path, RepoTags: [name], Layers: [layer.path] }];
  return Object.entries({
    'oci-layout': { imageLayoutVersion: '1.0.0' },
    'index.json': index,
    'manifest.json': older,
  }).map(([path, value]) => {
    const content = Buffer.from(JSON.stringify(value));
    return { path, size: content.length, content };
  });
}

function inFolders(entries) {
  const folders = ['blobs/', 'blobs/sha256/'].map((path) => ({ path, mode: 0o755, size: 0 }));
  const files = entries.map((entry) => ({ ...entry, mode: 0o644 })).sort((a, b) => (a.path < b.path ? -1 : 1));
  return [...folders, ...files];
}
