// `npm run check | test | test:long | demo | bench`: sets up what the command needs, says what it does, and runs it. Works
// on a fresh clone with nothing prepared. Plain JavaScript for Node 20.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon } from './addon.mjs';
import { buildDist } from './build.mjs';
import { installCluster, makeImage } from './cluster.mjs';
import { installDependencies } from './dependencies.mjs';
import { installHooks } from './hooks.mjs';
import { scaledFiles } from './scaled.mjs';
import { cacheHere, node, root, runProgram, StepFailed, say } from './step.mjs';
import { checkStatic, runTests, testFiles } from './tests.mjs';
import { installTools, toolEnvironment } from './tools.mjs';

const OLDEST_NODE = 20;

function base() {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE)
    throw new StepFailed(`Node ${OLDEST_NODE} or later is needed to start, found ${process.version}`);
  if (process.platform !== 'linux') throw new StepFailed('Pageseal needs Linux');
  cacheHere();
  installDependencies();
  installHooks();
  buildAddon(say);
}

const commands = {
  async check() {
    base();
    checkStatic();
    return runTests({ files: testFiles().quick, long: false });
  },
  async test(args) {
    const long = args.includes('--long');
    base();
    buildDist();
    installTools();
    await installCluster();
    await makeImage();
    checkStatic();
    const { quick, whole, cluster } = testFiles();
    return runTests({ files: [...quick, ...whole], scaled: scaledFiles, cluster, long });
  },
  async demo(args) {
    base();
    buildDist();
    return program('test/demo/demo.ts', args);
  },
  async bench(args) {
    base();
    buildDist();
    installTools();
    return program('test/bench/bench.ts', args);
  },
};

function program(file, args) {
  if (!existsSync(join(root, file))) throw new StepFailed(`${file} is missing`);
  runProgram(node, [file, ...args], { env: { ...process.env, ...toolEnvironment() } });
  return 0;
}

const [name, ...args] = process.argv.slice(2);
const command = commands[name];
if (command === undefined) {
  process.stderr.write(`usage: node setup/run.mjs ${Object.keys(commands).join(' | ')}\n`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await command(args);
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    process.stderr.write(`pageseal: ${name} stopped: ${error.message}\n`);
    process.exitCode = 1;
  }
}
