// The whole that cluster tests meet: a testbed, the servers beside it and Pageseal installed in it.
import { install, type Release } from './release.ts';
import { type ClusterServers, startServers } from './servers.ts';
import { type DescribedTestbed, Testbed, type TestbedOptions } from './testbed.ts';

/** As handed on to the test files of a run. */
export interface Described extends DescribedTestbed {
  readonly servers?: ClusterServers;
  readonly release?: Release;
}

export interface Started {
  readonly testbed: Testbed;
  readonly described: Described;
}

export interface StartOptions extends TestbedOptions {
  /** The testbed alone. */
  readonly bare?: boolean;
  /** Does not wait for Pageseal to run. */
  readonly noWait?: boolean;
}

export async function start({ bare = false, noWait = false, ...options }: StartOptions): Promise<Started> {
  const testbed = await Testbed.start(options);
  const { node } = testbed.described;
  if (bare || node === undefined) return { testbed, described: testbed.described };
  try {
    const [servers, release] = await Promise.all([startServers(testbed.temp, node.pid), install(testbed, !noWait)]);
    return { testbed, described: { ...testbed.described, servers, release } };
  } catch (error) {
    await testbed.stop();
    throw error;
  }
}
