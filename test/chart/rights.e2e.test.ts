// What each component may do, as a table to be read: whoever adds a right changes it here too.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs } from '../harness/tools.ts';
import {
  at,
  embedded,
  find,
  ofKind,
  pagesealOf,
  podOf,
  podTemplates,
  type Rendered,
  render,
  type Values,
} from './chart.ts';

const needed = needs('helm');

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** "role in place: verbs resource" for every right of an account; place is a namespace, or * for the whole cluster. */
function rightsOf(objects: readonly Rendered[], account: string): string[] {
  const bindings = [...ofKind(objects, 'ClusterRoleBinding'), ...ofKind(objects, 'RoleBinding')].filter((binding) =>
    (at(binding, 'subjects') as { kind: string; name: string; namespace: string }[]).some(
      ({ kind, name, namespace }) => kind === 'ServiceAccount' && name === account && namespace === 'pageseal-system',
    ),
  );
  return bindings.flatMap((binding) => {
    const role = find(objects, String(at(binding, 'roleRef.kind')), String(at(binding, 'roleRef.name')));
    const place = binding.kind === 'ClusterRoleBinding' ? '*' : binding.metadata.namespace;
    return (at(role, 'rules') as Rule[]).map(
      ({ apiGroups, resources, resourceNames = [], verbs }) =>
        `${place}: ${verbs.join()} ${[...apiGroups.filter((group) => group !== ''), resources.join()].join('/')}${resourceNames.map((name) => ` ${name}`).join('')}`,
    );
  });
}

const rights = async (account: string, values: Values = {}): Promise<string[]> =>
  rightsOf(await render(values), account);

test('the node account reads its Node and writes Events: no Secret, no exec, no pods', needed, async () => {
  assert.deepEqual(await rights('pageseal-node'), ['*: get nodes', '*: create,patch events']);
});

test('the keeper has no token and no right', needed, async () => {
  const objects = await render({});
  assert.deepEqual(rightsOf(objects, 'pageseal-keeper'), []);
  const { spec } = podOf(objects, 'pageseal-keeper');
  assert.equal(spec['automountServiceAccountToken'], false);
  assert.equal(spec['serviceAccountName'], 'pageseal-keeper');
  assert.equal(at(find(objects, 'ServiceAccount', 'pageseal-keeper'), 'automountServiceAccountToken'), false);
});

const ofController = [
  '*: get,list,watch,create,patch,delete persistentvolumes',
  '*: get,list,watch,update persistentvolumeclaims',
  '*: patch persistentvolumeclaims/status',
  '*: get,list,watch storage.k8s.io/storageclasses',
  '*: create,patch events',
  '*: get pageseal.dev/filesystems',
];
const ofControllerHere = [
  'pageseal-system: create coordination.k8s.io/leases',
  'pageseal-system: get,update coordination.k8s.io/leases csi-pageseal-dev external-resizer-csi-pageseal-dev',
];

test('the controller makes volumes; it reads Secrets by name, everywhere or where it is told', needed, async () => {
  assert.deepEqual(await rights('pageseal-controller'), [...ofController, '*: get secrets', ...ofControllerHere]);
  const named = await rights('pageseal-controller', { controller: { secretNamespaces: ['team-a', 'team-b'] } });
  assert.deepEqual(named, [...ofController, ...ofControllerHere, 'team-a: get secrets', 'team-b: get secrets']);
  const own = await rights('pageseal-controller', { controller: { secretNamespaces: [] } });
  assert.deepEqual(own, [...ofController, ...ofControllerHere, 'pageseal-system: get secrets']);
});

test('with the finalizer it writes to the Secrets that it reads, and a policy stands before that', needed, async () => {
  const noted = 'pageseal-system: get,patch configmaps pageseal-controller-secrets';
  const everywhere = { controller: { secretFinalizer: true } };
  const withNotes = [...ofControllerHere, noted];
  assert.deepEqual(await rights('pageseal-controller', everywhere), [
    ...ofController,
    '*: get,patch secrets',
    ...withNotes,
  ]);
  const named = { controller: { secretFinalizer: true, secretNamespaces: ['team-a'] } };
  assert.deepEqual(await rights('pageseal-controller', named), [
    ...ofController,
    ...withNotes,
    'team-a: get,patch secrets',
  ]);
  // Nobody else has more by it.
  for (const account of ['pageseal-node', 'pageseal-operator'])
    assert.deepEqual(await rights(account, everywhere), await rights(account), account);
  const objects = await render(everywhere);
  const policy = find(objects, 'ValidatingAdmissionPolicy', 'pageseal-controller-secrets');
  assert.equal(at(policy, 'spec.failurePolicy'), 'Fail');
  const account = 'system:serviceaccount:pageseal-system:pageseal-controller';
  assert.deepEqual(at(policy, 'spec.matchConditions'), [
    { name: 'controller', expression: `request.userInfo.username == "${account}"` },
  ]);
  const binding = find(objects, 'ValidatingAdmissionPolicyBinding', 'pageseal-controller-secrets');
  assert.deepEqual(at(binding, 'spec'), { policyName: policy.metadata.name, validationActions: ['Deny'] });
  for (const kind of ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding', 'ConfigMap'])
    assert.deepEqual(ofKind(await render({}), kind), [], kind);
});

test('the controller sees Nodes in embedded mode only', needed, async () => {
  assert.deepEqual(await rights('pageseal-controller', embedded), [
    ...ofController,
    '*: get,list,watch nodes',
    '*: get,list,watch storage.k8s.io/csinodes',
    '*: get secrets',
    ...ofControllerHere,
  ]);
});

const ofOperator = [
  '*: get,list,watch,patch pageseal.dev/filesystems',
  '*: update pageseal.dev/filesystems/status',
  '*: create,patch events',
  '*: list,watch,patch nodes',
  '*: list,watch storage.k8s.io/csinodes',
];
const ofOperatorHere = [
  'pageseal-system: create coordination.k8s.io/leases',
  'pageseal-system: get,update coordination.k8s.io/leases pageseal-operator',
  'pageseal-system: list,watch pods',
];

test('the operator reads Secrets by name in its own namespace, or where it is told', needed, async () => {
  assert.deepEqual(await rights('pageseal-operator'), [
    ...ofOperator,
    ...ofOperatorHere,
    'pageseal-system: get secrets',
  ]);
  assert.deepEqual(await rights('pageseal-operator', { operator: { namespaces: ['team-a', 'team-b'] } }), [
    ...ofOperator,
    ...ofOperatorHere,
    'team-a: get secrets',
    'team-b: get secrets',
  ]);
  assert.deepEqual(await rights('pageseal-operator', { operator: { namespaces: ['*'] } }), [
    ...ofOperator,
    '*: get secrets',
    ...ofOperatorHere,
  ]);
});

test('no role is a wildcard, and nobody may list Secrets, exec, impersonate or raise rights', needed, async () => {
  for (const values of [{}, embedded, { operator: { namespaces: ['*'] } }])
    for (const role of (await render(values)).filter(({ kind }) => /^(Cluster)?Role$/.test(kind)))
      for (const { apiGroups, resources, verbs } of at(role, 'rules') as Rule[]) {
        assert.ok(![...apiGroups, ...resources, ...verbs].includes('*'), role.metadata.name);
        if (resources.includes('secrets')) assert.deepEqual(verbs, ['get'], role.metadata.name);
        assert.ok(!resources.some((name) => /exec|attach|portforward|serviceaccounts|roles|rolebindings/.test(name)));
        assert.ok(!verbs.some((verb) => ['impersonate', 'bind', 'escalate'].includes(verb)), role.metadata.name);
      }
});

test('only the keeper is privileged; no other container has a capability or writes its own files', needed, async () => {
  for (const values of [{}, embedded])
    for (const [name, { spec }] of podTemplates(await render(values)))
      for (const { name: container, securityContext } of spec.containers) {
        assert.equal(securityContext['readOnlyRootFilesystem'], true, `${name}/${container}`);
        if (name === 'pageseal-keeper') continue;
        assert.deepEqual(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      }
});

test('no pod shares namespaces of its node, and the keeper is PID 1 of its own', needed, async () => {
  for (const [name, { spec }] of podTemplates(await render({})))
    for (const field of ['hostPID', 'hostIPC', 'hostNetwork', 'shareProcessNamespace', 'initContainers'])
      assert.equal(spec[field], undefined, `${name}: ${field}`);
  assert.deepEqual(
    podOf(await render({}), 'pageseal-keeper').spec.containers.map(({ name }) => name),
    ['pageseal'],
  );
});

test('what pods see of their node', needed, async () => {
  const objects = await render({});
  const seen = [...podTemplates(objects)].flatMap(([name, { spec }]) =>
    ((spec['volumes'] ?? []) as { name: string; hostPath?: { path: string } }[])
      .filter(({ hostPath }) => hostPath !== undefined)
      .map((volume) => {
        const mounts = spec.containers.flatMap(({ volumeMounts = [] }) => volumeMounts as readonly object[]);
        const how = mounts.filter((mount) => at(mount, 'name') === volume.name);
        const flags = how.flatMap((mount) => [
          ...(at(mount, 'readOnly') === true ? ['ro'] : []),
          ...(at(mount, 'mountPropagation') === undefined ? [] : [String(at(mount, 'mountPropagation'))]),
        ]);
        return [name.replace('pageseal-', ''), volume.hostPath?.path, ...new Set(flags)].join(' ');
      }),
  );
  assert.deepEqual(seen.sort(), [
    'keeper /dev/fuse',
    'keeper /run/pageseal',
    'keeper /run/pageseal-volumes Bidirectional',
    'keeper /var/lib/kubelet Bidirectional',
    'node /run/pageseal ro HostToContainer',
    'node /var/lib/kubelet/plugins/csi.pageseal.dev',
    'node /var/lib/kubelet/plugins_registry',
  ]);
});

test('the keeper is never replaced, restarted or limited by anybody but an administrator', needed, async () => {
  const keeper = find(await render({}), 'DaemonSet', 'pageseal-keeper');
  assert.deepEqual(at(keeper, 'spec.updateStrategy'), { type: 'OnDelete' });
  const container = pagesealOf(at(keeper, 'spec.template') as Parameters<typeof pagesealOf>[0]);
  assert.equal(at(container, 'livenessProbe'), undefined);
  assert.equal(at(container, 'resources.limits'), undefined);
  assert.ok(Number(at(keeper, 'spec.template.spec.terminationGracePeriodSeconds')) >= 60);
});
