// Every flag that the chart sets is one that the command knows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../harness/program.ts';
import { needs, root } from '../harness/tools.ts';
import { corners, pagesealOf, podTemplates, render } from './chart.ts';

const needed = needs('helm');

/** What `pageseal COMMAND --help` says, and for a command within a command that of the outer one. */
async function known(command: readonly string[]): Promise<string> {
  const outcome = await run(process.execPath, [`${root}/src/main.ts`, ...command, '--help']);
  assert.equal(outcome.code, 0, `pageseal ${command.join(' ')} --help: ${outcome.stderr}`);
  return command.length > 1 ? `${outcome.stdout}${await known(command.slice(0, -1))}` : outcome.stdout;
}

test('the flags of the chart are flags of the program', needed, async () => {
  const used = new Map<string, Set<string>>();
  for (const values of Object.values(corners))
    for (const pod of podTemplates(await render(values)).values()) {
      const { args } = pagesealOf(pod);
      const command = args.filter((arg) => !arg.startsWith('--')).join(' ');
      const first = args.findIndex((arg) => !arg.startsWith('--'));
      const note = (of: string, flags: readonly string[]): void => {
        const all = used.get(of) ?? new Set();
        for (const flag of flags) all.add(flag.split('=')[0] ?? '');
        used.set(of, all);
      };
      note('', args.slice(0, first));
      note(
        command,
        args.slice(first).filter((arg) => arg.startsWith('--')),
      );
    }
  assert.deepEqual([...used.keys()].sort(), ['', 'csi', 'csi-release', 'keeper', 'operator', 'operator release']);
  for (const [command, flags] of used) {
    const help = await known(command === '' ? [] : command.split(' '));
    for (const flag of flags) assert.match(help, new RegExp(`^ .*${flag}\\b`, 'm'), `pageseal ${command} ${flag}`);
  }
});
