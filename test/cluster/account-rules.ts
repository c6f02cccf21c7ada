// What an account may do, as the API server itself says it: one line per resource, so that a table in a test shows all of it.

export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** For `kubectl create --as=ACCOUNT`: what it may in that namespace, rights on the whole cluster included. */
export const rulesReview = (namespace: string): string =>
  JSON.stringify({ apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } });

/** `group/resource [names]: verbs`, sorted; a right that comes in two rules is one line. */
export function linesOf(rules: readonly Rule[]): string[] {
  const verbs = new Map<string, Set<string>>();
  for (const rule of rules)
    for (const group of rule.apiGroups ?? [''])
      for (const resource of rule.resources ?? []) {
        const names = rule.resourceNames === undefined ? '' : ` [${[...rule.resourceNames].sort().join(' ')}]`;
        const what = `${group === '' ? '' : `${group}/`}${resource}${names}`;
        verbs.set(what, new Set([...(verbs.get(what) ?? []), ...rule.verbs]));
      }
  return [...verbs].map(([what, allowed]) => `${what}: ${[...allowed].sort().join(' ')}`).sort();
}
