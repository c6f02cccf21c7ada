// A volume in a folder pays for no other store: neither with its start nor with its memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOk } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root } from '../../harness/tools.ts';

const LOADED = `
  const { createRequire } = await import('node:module');
  const { openStore } = await import('./src/filesystem/store/open-store.ts');
  await import('./src/filesystem/open.ts');
  const [storage, bucket] = process.argv.slice(1);
  await openStore({ storage, bucket, accessKey: 'a', secretKey: 'b' }, { create: true }).catch(() => undefined);
  const files = Object.keys(createRequire(process.cwd() + '/x.js').cache);
  console.log(files.some((file) => file.includes('@aws-sdk')), files.some((file) => file.includes('https-proxy-agent')));
`;

test('the S3 SDK is loaded for S3 only, and what proxies need only for them', async () => {
  const temp = makeTemp();
  const loaded = (storage: string, bucket: string): Promise<string> =>
    runOk(process.execPath, ['--input-type=module', '-e', LOADED, storage, bucket], {
      env: { ...temp.env, HTTPS_PROXY: '', ALL_PROXY: '' },
      cwd: root,
    });
  assert.equal(await loaded('file', `${temp.folder('objects')}/`), 'false false\n');
  // Nobody listens there; the connection is tried all the same.
  assert.equal(await loaded('s3', 'https://127.0.0.1:9/bucket'), 'true false\n');
});
