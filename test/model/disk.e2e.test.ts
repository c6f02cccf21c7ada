// The model against a local disk: what it demands of our mounts, Linux does.
import { test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { Judge } from './judge.ts';
import { seedOf } from './seed.ts';

const BETWEEN_BARRIERS = 200;

test('a local disk is as the model says', needs('root', 'python3'), async (t) => {
  const temp = makeTemp(t);
  const top = temp.folder('disk');
  // Reading sets atime there.
  const judge = await Judge.begin(temp, { seed: seedOf(t), tops: [top, top], known: /: atime is/ });
  for (let done = 0; done < sizes.modelSteps; done += BETWEEN_BARRIERS) {
    await judge.steps(BETWEEN_BARRIERS);
    await judge.barrier();
  }
  await judge.end();
});
