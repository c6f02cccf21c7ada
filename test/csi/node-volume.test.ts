// What a node's call becomes for the keeper: labels of mounts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountRequest, parseNodeVolume } from '../../src/csi/node-volume.ts';

const rules = {
  kubeletDirectory: '/var/lib/kubelet',
  embedded: undefined,
  endpoints: { patterns: [] },
  ambientCredentials: false,
};
const connection = {
  metaUrl: 'postgres://db.example.com/a',
  storage: 's3',
  bucket: 'https://s3.example.com/b',
  accessKey: '',
  secretKey: '',
  sessionToken: '',
  caBundle: '',
  rsaKey: Buffer.alloc(0),
  passphrase: Buffer.alloc(0),
  hasPassphrase: false,
  encryptionRequired: true,
};

function optionsOf(mountFlags: string[], label?: string): readonly string[] {
  const volume = parseNodeVolume(
    {
      volumeId: 'static',
      volumeCapability: {
        mount: { fsType: '', mountFlags, volumeMountGroup: '' },
        accessMode: { mode: 'MULTI_NODE_MULTI_WRITER' },
      },
      volumeContext: {},
    },
    rules,
  );
  return mountRequest(volume, connection, '/var/lib/kubelet/x', '', label).options;
}

test("a mount has the driver's label unless the kubelet or the PV asks for another", () => {
  const label = 'system_u:object_r:container_file_t:s0';
  assert.deepEqual(optionsOf(['ledger=strict']), ['ledger=strict']);
  assert.deepEqual(optionsOf(['ledger=strict'], label), ['ledger=strict', `context="${label}"`]);
  assert.deepEqual(optionsOf([`context="${label}:c1,c2"`], label), [`context="${label}:c1,c2"`]);
});
