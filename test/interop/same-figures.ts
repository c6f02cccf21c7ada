// What a volume holds and what its quotas say, asked of both clients: the same figures.
import assert from 'node:assert/strict';
import type { MountedByBoth } from './settings-in-use.ts';

const THEIRS = 1;
const QUOTAS = ['/', '/work'];
/** Names in the tables of summary that are one line and one field each. */
const PLAIN = /^[a-z/]*$/;

interface Info {
  readonly sums: { readonly length: number; readonly size: number; readonly files: number; readonly dirs: number };
}

interface Quota {
  readonly of: string;
  readonly usedSpace: number;
  readonly usedInodes: number;
}

/** Nobody has the volume mounted. */
export async function sameFigures(both: MountedByBoth, directories: readonly string[]): Promise<void> {
  const { metaUrl, tops, clients } = both;
  const [, juicefs] = clients;
  const top = tops[THEIRS] ?? '';
  await juicefs.mount(metaUrl, top);
  await sameSummary(both, top);
  for (const directory of directories.filter((path) => PLAIN.test(path)))
    for (const flags of [['-r'], ['-r', '--strict']]) await sameInfo(both, top, directory, flags);
  await juicefs.umount(top);
  await sameQuotas(both);
}

const lines = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /(,\d+){3}$/.test(line))
    .sort();

async function sameSummary({ metaUrl, clients: [pageseal, juicefs] }: MountedByBoth, top: string): Promise<void> {
  for (const flags of [[], ['--strict']]) {
    const all = ['summary', '--csv', '--depth', '10', '--entries', '100', ...flags];
    const ours = lines(await pageseal.ok([...all, metaUrl, '/']));
    assert.ok(ours.length > 1);
    assert.deepEqual(ours, lines(await juicefs.ok([...all, top])));
  }
}

async function sameInfo(
  { metaUrl, clients: [pageseal, juicefs] }: MountedByBoth,
  top: string,
  directory: string,
  flags: readonly string[],
): Promise<void> {
  const theirs = await juicefs.ok(['info', ...flags, `${top}/${directory}`]);
  const { sums } = JSON.parse(await pageseal.ok(['info', '--json', ...flags, metaUrl, `/${directory}`])) as Info;
  const figures = /files: (\d+)\s+dirs: (\d+)\s+length: (?:.*\()?(\d+) Bytes\)?\s+size: (?:.*\()?(\d+) Bytes/.exec(
    theirs,
  );
  const named = [sums.files, sums.dirs, sums.length, sums.size].map(String);
  assert.deepEqual(named, figures?.slice(1), `${directory}: ${theirs}`);
}

/**
 * Both say of each quota whether it is right. After free work of both they were sometimes not, with the trash off (why is not
 * known; interop/quota-mix keeps to what counts exactly): what is wrong is counted anew by the original client, which is then
 * right for both.
 */
export async function sameQuotaChecks({ metaUrl, clients: [pageseal, juicefs] }: MountedByBoth): Promise<void> {
  const { code } = await pageseal.run(['quota', 'check', metaUrl]);
  let right = true;
  for (const path of QUOTAS) {
    const check = ['quota', 'check', metaUrl, '--path', path, '--strict'];
    if ((await juicefs.run(check)).code === 0) continue;
    right = false;
    await juicefs.ok([...check, '--repair']);
  }
  assert.equal(code === 0, right, 'both clients find the quotas right, or neither does');
}

async function sameQuotas({ metaUrl, clients: [pageseal, juicefs] }: MountedByBoth): Promise<void> {
  assert.match(await pageseal.ok(['quota', 'check', metaUrl]), /is what is there/);
  const quotas = JSON.parse(await pageseal.ok(['quota', 'list', metaUrl, '--json'])) as Quota[];
  const listed = await juicefs.ok(['quota', 'list', metaUrl]);
  for (const { of, usedInodes } of quotas) {
    const which = of.startsWith('/') ? ['--path', of] : [`--${of.slice(0, 3)}`, of.slice(4)];
    await juicefs.ok(['quota', 'check', metaUrl, ...which, '--strict']);
    const row = listed
      .split('\n')
      .map((line) => line.split('|').map((field) => field.trim()))
      .find((fields) => fields.includes(of));
    assert.ok(row?.includes(usedInodes.toLocaleString('en-US')), `${of}: ${usedInodes}, they list ${row?.join(' ')}`);
  }
  assert.deepEqual(quotas.map(({ of }) => of).sort(), QUOTAS);
}
