// Who owns what a hook of a suite makes: a hook that calls `after` itself would see it taken away as soon as that hook ends.
import { after } from 'node:test';

export interface SuiteOwner {
  after(hook: () => void | Promise<void>): void;
}

/** Call it in the suite's body. In the order in which they were made, as a test's context does it. */
export function suiteOwner(): SuiteOwner {
  const hooks: (() => void | Promise<void>)[] = [];
  after(async () => {
    for (const hook of hooks) await hook();
  });
  return { after: (hook) => void hooks.push(hook) };
}
