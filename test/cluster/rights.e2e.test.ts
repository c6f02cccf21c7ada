// What each account of the driver may do, all of it, as the API server says; what none of them may; that naming namespaces
// limits the Secrets; and what rights the processes have on the node.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { runOk } from '../harness/program.ts';
import { needs } from '../harness/tools.ts';
import { linesOf, rulesReview } from './account-rules.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import { secret } from './harness/objects.ts';
import { suiteOwner } from './harness/suite-owner.ts';
import { componentOf, type DriverPod, processesOf } from './processes.ts';
import { programPath } from './testbed/programs.ts';

const NAMESPACE = 'pageseal-system';
/** Every account has these: to ask who it is and what it may. */
const OF_EVERYBODY = /^(authentication|authorization)\.k8s\.io\/selfsubject/;

const onEvents = 'events: create patch';
const readsSecrets = 'secrets: get';
/** In every namespace; the controller reads Secrets where the claims are, as the chart's default has it. */
const everywhere: Readonly<Record<string, readonly string[]>> = {
  controller: [
    onEvents,
    'pageseal.dev/filesystems: get',
    'persistentvolumeclaims/status: patch',
    'persistentvolumeclaims: get list update watch',
    'persistentvolumes: create delete get list patch watch',
    readsSecrets,
    'storage.k8s.io/storageclasses: get list watch',
  ],
  node: [onEvents, 'nodes: get'],
  keeper: [],
  operator: [
    onEvents,
    'nodes: list patch watch',
    'pageseal.dev/filesystems/status: update',
    'pageseal.dev/filesystems: get list patch watch',
    'storage.k8s.io/csinodes: list watch',
  ],
};
/** In the release's namespace as well. */
const atHome: Readonly<Record<string, readonly string[]>> = {
  controller: [
    'coordination.k8s.io/leases [csi-pageseal-dev external-resizer-csi-pageseal-dev]: get update',
    'coordination.k8s.io/leases: create',
  ],
  node: [],
  keeper: [],
  operator: [
    'coordination.k8s.io/leases [pageseal-operator]: get update',
    'coordination.k8s.io/leases: create',
    'pods: list watch',
    readsSecrets,
  ],
};

/** What would be the way from one of them to everything. */
const never = [
  'list secrets',
  'watch secrets',
  'create secrets',
  'update secrets',
  'delete secrets',
  'create pods',
  'create pods/exec',
  'get pods/exec',
  'create pods/attach',
  'create pods/portforward',
  'update pods/ephemeralcontainers',
  'get pods/log',
  'delete pods',
  'create serviceaccounts/token',
  'impersonate serviceaccounts',
  'impersonate users',
  'get nodes/proxy',
  'create nodes/proxy',
  'delete nodes',
  'create daemonsets.apps',
  'patch daemonsets.apps',
  'patch deployments.apps',
  'create clusterrolebindings.rbac.authorization.k8s.io',
  'bind clusterroles.rbac.authorization.k8s.io',
  'escalate clusterroles.rbac.authorization.k8s.io',
  'create certificatesigningrequests.certificates.k8s.io',
  'create mutatingwebhookconfigurations.admissionregistration.k8s.io',
  'delete filesystems.pageseal.dev',
  'create customresourcedefinitions.apiextensions.k8s.io',
];

const account = (component: string, release = 'pageseal'): string =>
  `system:serviceaccount:${NAMESPACE}:${release}-${component}`;

/** What `kubectl auth can-i VERB RESOURCE` asks. */
function accessReview(act: string, namespace: string): string {
  const [, verb, resource, subresource, group] = /^(\S+) ([^./]+)(?:\/([^.]+))?(?:\.(.+))?$/.exec(act) ?? [];
  const resourceAttributes = { namespace, verb, resource, subresource, group };
  return JSON.stringify({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  });
}

describe('rights', needs(...clusterNeeds), () => {
  const owner = suiteOwner();
  let cluster: Cluster;
  let tenant: TestNamespace;
  let other: TestNamespace;

  before(async () => {
    cluster = await sharedCluster();
    [tenant, other] = await Promise.all([cluster.namespace(owner), cluster.namespace(owner)]);
    for (const { kubectl } of [tenant, other]) await kubectl.apply(secret('key', { passphrase: 'a canary of no use' }));
  });

  async function rulesOf(who: string, namespace: string): Promise<string[]> {
    const args = ['create', '--validate=false', `--as=${who}`, '-f', '-', '-o', 'json'];
    const { status } = JSON.parse(await cluster.kubectl.ok(args, { input: rulesReview(namespace) }));
    assert.equal(status.incomplete, false);
    return linesOf(status.resourceRules).filter((line) => !OF_EVERYBODY.test(line));
  }

  for (const component of Object.keys(everywhere)) {
    test(`the ${component} may do this, and nothing else`, async () => {
      const all = everywhere[component] ?? [];
      assert.deepEqual(await rulesOf(account(component), tenant.name), [...all].sort());
      assert.deepEqual(await rulesOf(account(component), NAMESPACE), [...all, ...(atHome[component] ?? [])].sort());
    });

    test(`the ${component} may do nothing that leads further`, async () => {
      const input = never.map((act) => accessReview(act, tenant.name)).join('\n---\n');
      const asked = ['create', '--validate=false', `--as=${account(component)}`, '-f', '-'];
      const said = await tenant.kubectl.ok([...asked, '-o', 'jsonpath={.status.allowed}{"\\n"}'], { input });
      const answers = said
        .trim()
        .split('\n')
        .map((allowed, index) => `${never[index]}: ${allowed}`);
      assert.deepEqual(
        answers,
        never.map((act) => `${act}: false`),
      );
    });
  }

  async function reads(who: string, namespace: TestNamespace): Promise<string> {
    const { code, stderr } = await namespace.kubectl.run(['get', 'secret', 'key', `--as=${who}`]);
    return code === 0 ? 'read' : /Forbidden/.test(stderr) ? 'forbidden' : stderr;
  }

  test('named namespaces limit the Secrets of controller and operator', async () => {
    const files = ['templates/controller/rbac.yaml', 'templates/operator/rbac.yaml'];
    const only = files.flatMap((file) => ['--show-only', file]);
    const named = ['controller.secretNamespaces', 'operator.namespaces'].flatMap((value) => [
      '--set',
      `${value}={${tenant.name}}`,
    ]);
    const version = ['--kube-version', '1.36.3', '--namespace', NAMESPACE];
    const chart = cluster.release.chart;
    const roles = await runOk(programPath('helm'), ['template', 'limited', chart, ...version, ...only, ...named]);
    await cluster.kubectl.apply(roles);
    try {
      for (const component of ['controller', 'operator']) {
        const limited = account(component, 'limited-pageseal');
        assert.equal(await reads(limited, tenant), 'read');
        assert.equal(await reads(limited, other), 'forbidden');
      }
    } finally {
      await cluster.kubectl.ok(['delete', '-f', '-'], { input: roles });
    }
  });

  test("the keeper's pod holds no token, and no pod of the driver more than its own", async () => {
    const pods = await cluster.system.list<DriverPod>('pods', ['-l', 'app.kubernetes.io/name=pageseal']);
    assert.deepEqual([...new Set(pods.map(componentOf))].sort(), ['controller', 'keeper', 'node', 'operator']);
    for (const pod of pods) {
      const tokens = pod.spec.volumes.filter(({ projected, secret: whole }) => projected ?? whole);
      assert.equal(tokens.length, componentOf(pod) === 'keeper' ? 0 : 1, pod.metadata.name);
      assert.equal(pod.spec.serviceAccountName, `pageseal-${componentOf(pod)}`);
    }
    const [keeper] = await processesOf(cluster, 'keeper');
    assert(keeper !== undefined);
    assert.equal(existsSync(`/proc/${keeper}/root/var/run/secrets`), false);
  });

  test('nobody but the keeper has a capability on the node, and controller and operator are not root', async () => {
    for (const component of ['controller', 'operator', 'node']) {
      const processes = await processesOf(cluster, component);
      assert(processes.length > 0, component);
      for (const pid of processes) {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        assert.match(status, /^CapEff:\t0+$/m, component);
        assert.match(status, /^CapBnd:\t0+$/m, component);
        assert.match(status, /^NoNewPrivs:\t1$/m, component);
        assert.equal(/^Uid:\t0\t/m.test(status), component === 'node', component);
      }
    }
  });
});
