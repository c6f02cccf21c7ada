// What a provisioner and a kubelet do for one PVC, by hand: `pvc.mjs up FOLDER` creates, stages and publishes a volume,
// `pvc.mjs down FOLDER` takes it away again. FOLDER holds csi.sock, kubelet/, key.pem, public.pem and passphrase (README).
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const [what, folder] = process.argv.slice(2);
const proto = loadSync(fileURLToPath(new URL('../../proto/csi.proto', import.meta.url)), { enums: String });
const services = grpc.loadPackageDefinition(proto).csi.v1;
const client = (name) => new services[name](`unix:${folder}/csi.sock`, grpc.credentials.createInsecure());
const [controller, node] = [client('Controller'), client('Node')];
const call = (service, method, request) => promisify(service[method]).call(service, request);
const text = (file) => readFileSync(`${folder}/${file}`, 'utf8');

// The provisioner's Secret holds the public half only; a node's holds the key.
const forController = { 'rsa-public-key': text('public.pem') };
const forNode = { 'rsa-key': text('key.pem'), passphrase: text('passphrase').trim() };
const volumeCapability = { mount: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } };

// Idempotent: `down` asks for the same volume and gets its id.
const { volume } = await call(controller, 'createVolume', {
  name: 'pvc-trial',
  capacityRange: { requiredBytes: 2 ** 30 },
  volumeCapabilities: [volumeCapability],
  parameters: { compression: 'zstd', trashDays: '0' },
  secrets: forController,
});
const { volumeId, volumeContext } = volume;
const stagingTargetPath = `${folder}/kubelet/plugins/kubernetes.io/csi/csi.pageseal.dev/trial/globalmount`;
const targetPath = `${folder}/kubelet/pods/trial/volumes/kubernetes.io~csi/pv/mount`;

if (what === 'up') {
  for (const path of [stagingTargetPath, targetPath]) mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
  const staged = { volumeId, volumeContext, volumeCapability, stagingTargetPath, secrets: forNode };
  await call(node, 'nodeStageVolume', staged);
  await call(node, 'nodePublishVolume', { ...staged, targetPath });
  console.log(targetPath);
} else {
  await call(node, 'nodeUnpublishVolume', { volumeId, targetPath });
  await call(node, 'nodeUnstageVolume', { volumeId, stagingTargetPath });
  await call(controller, 'deleteVolume', { volumeId, secrets: forController });
}
for (const service of [controller, node]) service.close();
