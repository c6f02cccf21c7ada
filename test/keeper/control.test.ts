// The control socket in the hands of a broken worker.
import assert from 'node:assert/strict';
import { closeSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { Control, type WorkerMessage } from '../../src/keeper/control.ts';
import { native } from '../../src/native/native.ts';

for (const said of ['not json\n', 'null\n', '7\n', `${'x'.repeat(70_000)}`])
  test(`${said.slice(0, 8).trim()}... ends the conversation and nothing else`, async () => {
    const [mine, theirs] = native.socketPair();
    const heard: WorkerMessage[] = [];
    await new Promise<void>((closed) => {
      new Control<never, WorkerMessage>(mine, (message) => heard.push(message), closed);
      writeSync(theirs, '{"kind":"proven"}\n');
      writeSync(theirs, said);
    });
    closeSync(theirs);
    assert.deepEqual(heard, [{ kind: 'proven' }]);
  });
