// OPERATIONS.md has every counter and gauge of the code, and no other.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../harness/tools.ts';
import { textOf } from './documents.ts';

const sources = (readdirSync(join(root, 'src'), { recursive: true }) as string[])
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(root, 'src', file), 'utf8'));

/** Patterns: a name may have a part that is filled in. A timer is two counters. What the keeper says of each volume stands as `name type`. */
const inCode = sources.flatMap((text) => [
  ...[...text.matchAll(/\b(counter|gauge|timer)\(\s*['`](pageseal_[\w${}]+)['`]/g)].flatMap(([, kind, name]) =>
    kind === 'timer' ? [`${name}_total`, `${name}_seconds_total`] : [`${name}`],
  ),
  ...[...text.matchAll(/'(pageseal_\w+) (?:counter|gauge)'/g)].map(([, name]) => `${name}`),
]);

const document = textOf('docs/OPERATIONS.md');
const inDocument = [...document.matchAll(/`(pageseal_[a-z_]+)(?:\{\w+\})?`/g)].map(([, name]) => `${name}`);

const isCalled = (written: string, name: string): boolean =>
  new RegExp(`^${name.replace(/\$\{\w+\}/g, '[a-z]+')}$`).test(written);

test('every counter and gauge is in the document', () => {
  assert.ok(inCode.length > 40, `${inCode.length} names`);
  assert.deepEqual(
    inCode.filter((name) => !inDocument.some((written) => isCalled(written, name))),
    [],
  );
});

test('every name in the document is of the code', () => {
  assert.deepEqual(
    inDocument.filter((written) => !inCode.some((name) => isCalled(written, name))),
    [],
  );
});
