// `pageseal destroy` as a user meets it: refused while mounted, without a yes, for another UUID; then nothing is left.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

test('a file system is destroyed', needs('root', 'fuse', 'juicefs', 'the addon'), async (t) => {
  const temp = makeTemp(t);
  const pageseal = new Pageseal(temp);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  // The original client's, with nothing of ours in it.
  await new Juicefs(temp).format(metaUrl, 'doomed', `${temp.folder('objects')}/`);
  const status = JSON.parse(await pageseal.ok(['status', '--json', metaUrl])) as { Setting: { UUID: string } };
  const uuid = status.Setting.UUID;
  await pageseal.mount(metaUrl, temp.at('mnt'));
  writeFileSync(temp.at('mnt/file'), 'bytes');
  const refused = async (code: number, said: RegExp, ...args: string[]): Promise<void> => {
    const outcome = await pageseal.run(['destroy', metaUrl, ...args]);
    assert.match(outcome.stderr, said);
    assert.equal(outcome.code, code);
  };
  await refused(6, /1 clients have it mounted/, uuid, '--yes');
  await pageseal.umount(temp.at('mnt'));
  await refused(8, /--yes goes ahead/, uuid);
  await refused(2, /its UUID is/, '6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d11', '--yes');
  assert.ok(existsSync(temp.at('objects/doomed/chunks')));
  const done = JSON.parse(await pageseal.ok(['destroy', metaUrl, uuid, '--yes', '--json'])) as object;
  assert.deepEqual(done, { name: 'doomed', uuid, objects: 2 });
  assert.deepEqual(
    readdirSync(temp.path).filter((name) => /meta\.db|objects/.test(name)),
    [],
  );
  await refused(7, /no such file/, uuid, '--yes');
});
