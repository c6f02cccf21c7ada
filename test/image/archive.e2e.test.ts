// The image as an archive: what an engine reads, the same bytes whoever builds it, and only what is needed in it.
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { run, runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';
import { missingModules } from './modules.ts';
import { type Image, unpackImage } from './unpack.ts';

const NAME = 'localhost/pageseal/pageseal:test';
const temp = makeTemp();
const archive = temp.at('image.tar');
const build = (args: readonly string[], env = process.env): Promise<string> =>
  runOk(process.execPath, [join(root, 'setup/image.mjs'), ...args], { env, cwd: temp.path });
let image: Image;
let files: string[];

const wanted = needs('root', 'the addon');
before(async () => {
  if (wanted.skip !== undefined) return;
  await build(['--output', archive, '--name', NAME]);
  image = await unpackImage(temp, archive, 'rootfs');
  files = (readdirSync(image.rootfs, { recursive: true }) as string[]).sort();
});

test('an engine finds one image with its name, platform and entry point', wanted, async () => {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  assert.deepEqual([image.platform, image.architecture], [{ architecture, os: 'linux' }, architecture]);
  assert.deepEqual(image.annotations, {
    'io.containerd.image.name': NAME,
    'org.opencontainers.image.ref.name': 'test',
  });
  assert.deepEqual(image.config.Entrypoint, ['/usr/local/bin/pageseal']);
  assert.deepEqual([image.config.User, image.config.WorkingDir], [undefined, '/']);
  // Where Debian's skopeo is, it judges, too: by the OCI layout and as engines read that know no layout.
  if (!existsSync('/usr/bin/skopeo')) return;
  for (const form of [`oci-archive:${archive}:test`, `docker-archive:${archive}`]) {
    const seen = JSON.parse(await runOk('/usr/bin/skopeo', ['inspect', '--config', form]));
    assert.deepEqual(seen.config, image.config, form);
    await runOk('/usr/bin/skopeo', ['copy', '--insecure-policy', form, `dir:${temp.folder('copied')}`]);
  }
});

test('the same bytes again, for another user elsewhere', wanted, async () => {
  const again = temp.at('again.tar');
  const args = [join(root, 'setup/image.mjs'), '--output', again, '--name', NAME];
  const env = { ...process.env, TZ: 'Asia/Tokyo', LANG: 'de_DE.UTF-8', TMPDIR: temp.folder('elsewhere') };
  await runOk('sh', ['-c', 'umask 077; exec "$@"', 'sh', process.execPath, ...args], { env, cwd: '/' });
  assert.ok(readFileSync(again).equals(readFileSync(archive)));
});

test('a name without a tag, or a folder with something in it, is refused and nothing made', wanted, async () => {
  for (const args of [['--name', 'pageseal'], ['--name', 'Pageseal:1'], ['--rootfs', root], ['--nonsense']]) {
    const outcome = await run(process.execPath, [join(root, 'setup/image.mjs'), ...args]);
    assert.deepEqual([args, outcome.code], [args, 1]);
    assert.match(outcome.stderr, /^pageseal: image: /);
  }
});

test('no shell, no tools, no sources, nothing for development', wanted, () => {
  const programs = files.filter((file) => {
    const stat = lstatSync(join(image.rootfs, file));
    return stat.isFile() && (stat.mode & 0o111) !== 0 && !/^lib(64)?\//.test(file);
  });
  assert.deepEqual(programs, ['opt/pageseal/bin/node', 'usr/local/bin/pageseal']);
  const unwanted = files.filter(
    (file) =>
      /(^|\/)(sh|bash|dash|busybox|openssl|npm|npx|curl|perl|python[\d.]*)$/.test(file) ||
      (/\.(ts|mts|cts|map|md|c|h|key|pem|crt|db|log)$/.test(file) && !/\/license\.md$/i.test(file)) ||
      /\/(test|tests|\.git|\.cache|@types|typescript|@biomejs|fast-check|fuse-native)(\/|$)/.test(file),
  );
  assert.deepEqual(unwanted, []);
});

test('everybody may read it, and nobody write but in /tmp', wanted, () => {
  const wrong = files.flatMap((file) => {
    const { mode, uid, gid, mtimeMs, ...stat } = lstatSync(join(image.rootfs, file));
    const rights = mode & 0o7777;
    const directory = stat.isDirectory?.() ?? (mode & 0o170000) === 0o040000;
    const allowed = file === 'tmp' ? [0o1777] : directory ? [0o755] : [0o644, 0o755];
    return allowed.includes(rights) && uid === 0 && gid === 0 && mtimeMs === 0 ? [] : [`${file} ${rights.toString(8)}`];
  });
  assert.deepEqual(wrong, []);
});

test('nothing tells where it was built', wanted, () => {
  const own = files.filter((file) => /^opt\/pageseal\/(dist|build|proto)\/|package\.json$|^usr\/|^etc\//.test(file));
  const telling = own.filter((file) => {
    const path = join(image.rootfs, file);
    return lstatSync(path).isFile() && readFileSync(path).includes(root);
  });
  assert.deepEqual(telling, []);
});

test('the packages are those that the lock has for production', wanted, () => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; dev?: boolean; devOptional?: boolean }>;
  };
  const found = files.filter((file) => /^opt\/pageseal\/.*node_modules\/(@[^/]+\/)?[^/@]+\/package\.json$/.test(file));
  assert.ok(found.length > 80, `${found.length} packages`);
  for (const file of found) {
    const { version } = JSON.parse(readFileSync(join(image.rootfs, file), 'utf8')) as { version: string };
    const locked = packages[file.replace(/^opt\/pageseal\//, '').replace(/\/package\.json$/, '')];
    assert.deepEqual([file, locked?.version, locked?.dev], [file, version, undefined]);
  }
});

test('every module that the program may load is there', wanted, async () => {
  const { seen, missing } = await missingModules(join(image.rootfs, 'opt/pageseal'), root);
  assert.ok(seen > 500, `${seen} modules`);
  assert.deepEqual(missing, []);
});
