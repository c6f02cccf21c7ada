// Who owns what a hook of a suite makes: a hook that calls `after` itself would see it taken away as soon as that hook ends.
import { after } from 'node:test';

export interface SuiteOwner {
  after(hook: () => void | Promise<void>): void;
}

/** Call it in the suite's body. The last made goes first. */
export function suiteOwner(): SuiteOwner {
  const hooks: (() => void | Promise<void>)[] = [];
  after(async () => {
    for (const hook of hooks.toReversed()) await hook();
  });
  return { after: (hook) => void hooks.push(hook) };
}
