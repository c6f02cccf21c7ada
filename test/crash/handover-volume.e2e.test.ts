// One volume while its keeper is replaced: its open files and locks, the Secrets of pods that come later, and what is told when
// nobody holds it or no keeper comes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ended, until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { type HandoverNode, makeNode } from './handover-node.ts';

/** open-files.py, asked once before and once after each of `acts`. */
async function withOpenFiles(temp: Temp, top: string, acts: readonly (() => Promise<void>)[]): Promise<void> {
  const script = fileURLToPath(new URL('open-files.py', import.meta.url));
  const child = spawn('python3', [script, top], { env: temp.env, stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  const use = async (): Promise<void> => {
    child.stdin.write('\n');
    assert.deepEqual(JSON.parse((await answers.next()).value ?? '["it ended"]'), []);
  };
  await use();
  for (const act of acts) {
    await act();
    await use();
  }
  child.stdin.end();
  await ended(child);
}

describe('a volume that is handed over', needs('root', 'fuse', 'openssl', 'python3', 'the addon'), () => {
  test('open files stay what they are: without a name, appended to, mapped, locked', async (t) => {
    const node = await makeNode(t);
    const top = await node.publish('pod');
    await node.held(1);
    const signals = ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const;
    await withOpenFiles(
      node.temp,
      top,
      signals.map((signal) => () => node.replaceKeeper(signal)),
    );
    await node.finish('pod');
  });

  test('a pod that comes later has to bring the Secret, and finds what the others wrote', async (t) => {
    const node = await makeNode(t);
    const { csi, volume, secrets } = await published(node);
    await node.replaceKeeper('SIGKILL');
    const wrong = csi.publishRequest(volume, 'thief', { ...secrets, passphrase: 'canary-guess' });
    assert.equal(await csi.node.code('Node', 'nodePublishVolume', wrong), 'UNAUTHENTICATED');
    // What is mounted stays so, whatever a republish brings.
    const changed = csi.publishRequest(volume, 'pod', { ...secrets, passphrase: 'canary-guess' });
    assert.equal(await csi.node.code('Node', 'nodePublishVolume', changed), 'OK');
    const more = await csi.publish(volume, 'more', secrets);
    assert.equal(readFileSync(join(more, 'file'), 'utf8'), 'text');
    assert.equal(await csi.node.code('Node', 'nodeUnstageVolume', unstage(node)), 'FAILED_PRECONDITION');
    await csi.unpublish(volume, 'more');
    await node.finish('pod');
  });

  test('keeper and plugin gone at once: an error and no hang, and the next pod mounts anew', async (t) => {
    const node = await makeNode(t);
    const { csi, volume, secrets, top } = await published(node);
    await Promise.all([node.endKeeper('SIGKILL'), csi.stopOne('node', 'SIGKILL')]);
    // A call that came before the kernel closed the last descriptor is aborted.
    assert.throws(() => readFileSync(join(top, 'file')), { code: /^(ENOTCONN|ECONNABORTED)$/ });
    await Promise.all([csi.startOne('keeper'), csi.startOne('node')]);
    assert.match(node.log('keeper'), /volume is lost: its mounts answer ENOTCONN/);
    await until('the plugin hears of it', () => node.log('node').includes('volume is lost on this node'));
    assert.throws(() => readFileSync(join(top, 'file')), { code: 'ENOTCONN' });
    const next = await csi.publish(volume, 'next', secrets);
    assert.equal(readFileSync(join(next, 'file'), 'utf8'), 'text');
    await csi.unpublish(volume, 'next');
    await node.finish('pod');
  });

  test('no keeper in time: who waits gets an error, and a keeper that comes later mounts anew', async (t) => {
    const node = await makeNode(t, ['--recovery-deadline', '2']);
    const { csi, volume, secrets, top } = await published(node);
    await node.endKeeper('SIGKILL');
    const waiting = spawn('cat', [join(top, 'other')], { env: node.temp.env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    waiting.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    await ended(waiting);
    assert.match(said, /not connected|connection abort/i);
    await node.held(0);
    await csi.startOne('keeper');
    writeFileSync(join(await csi.publish(volume, 'pod', secrets), 'more'), 'x');
    await node.finish('pod');
  });
});

async function published(
  node: HandoverNode,
): Promise<Pick<HandoverNode, 'csi' | 'volume' | 'secrets'> & { top: string }> {
  const top = await node.publish('pod');
  writeFileSync(join(top, 'file'), 'text', { flush: true });
  await node.held(1);
  const { csi, volume, secrets } = node;
  return { csi, volume, secrets, top };
}

const unstage = ({ csi, volume }: HandoverNode): object => ({
  volumeId: volume.volumeId,
  stagingTargetPath: csi.staging(volume),
});
