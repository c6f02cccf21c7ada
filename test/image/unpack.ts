// An image archive as an engine reads it: from index.json to the layer, every digest and size checked on the way.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { runOk } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface Image {
  readonly digest: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform: { readonly architecture: string; readonly os: string };
  readonly architecture: string;
  readonly config: {
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly WorkingDir: string;
    readonly User?: string;
    readonly Labels: Readonly<Record<string, string>>;
  };
  /** Where the layer was unpacked. */
  readonly rootfs: string;
}

const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Unpacks into `name` in the test's folder, as root: owners and modes are the layer's. */
export async function unpackImage(temp: Temp, archive: string, name: string): Promise<Image> {
  const layout = temp.folder(`${name}-layout`);
  await runOk('tar', ['-C', layout, '-xf', archive]);
  const file = (path: string): Buffer => readFileSync(join(layout, path));
  const json = (bytes: Buffer) => JSON.parse(bytes.toString('utf8'));
  const blob = ({ digest, size }: Descriptor): Buffer => {
    const bytes = file(`blobs/${digest.replace(':', '/')}`);
    assert.deepEqual([sha256(bytes), bytes.length], [digest, size]);
    return bytes;
  };
  assert.deepEqual(json(file('oci-layout')), { imageLayoutVersion: '1.0.0' });
  const { manifests } = json(file('index.json'));
  assert.equal(manifests.length, 1);
  const [described] = manifests;
  const manifest = json(blob(described));
  const config = json(blob(manifest.config));
  assert.equal(manifest.layers.length, 1);
  const [layer] = manifest.layers;
  const stored = blob(layer);
  const gzip = layer.mediaType.endsWith('+gzip');
  assert.deepEqual(config.rootfs, { type: 'layers', diff_ids: [sha256(gzip ? gunzipSync(stored) : stored)] });
  const rootfs = temp.folder(name);
  const packed = join(layout, 'blobs', layer.digest.replace(':', '/'));
  await runOk('tar', ['-C', rootfs, '-xp', ...(gzip ? ['-z'] : []), '-f', packed]);
  const { digest, annotations, platform } = described;
  return { digest, annotations, platform, architecture: config.architecture, config: config.config, rootfs };
}
