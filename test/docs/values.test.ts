// docs/KUBERNETES.md lists every value of the chart, and none that is not there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { root } from '../harness/tools.ts';
import { quotedIn, textOf } from './documents.ts';

type Values = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const section = /^## Values of the chart$([\s\S]*?)^##+ /m.exec(textOf('docs/KUBERNETES.md'))?.[1] ?? '';
const values: Values = parse(readFileSync(join(root, 'charts/pageseal/values.yaml'), 'utf8'));

/** `{a,b}.{c,d}`: a.c, a.d, b.c, b.d. */
function expanded(text: string): string[] {
  const found = /\{([^{}]*)\}/.exec(text);
  if (found === null) return [text];
  const [whole, inside = ''] = found;
  const before = text.slice(0, found.index);
  const behind = text.slice(found.index + whole.length);
  return inside.split(',').flatMap((choice) => expanded(`${before}${choice}${behind}`));
}

/** The first column of the table. */
const listed = section
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .flatMap((line) => quotedIn(line.split(' | ')[0] ?? ''))
  .flatMap(expanded);

function valueAt(path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => (isObject(at) ? at[name] : undefined), values);
}

/** Down to what is listed as a whole. */
function unlisted(at: Values, prefix: string): string[] {
  return Object.entries(at).flatMap(([name, value]) => {
    const path = `${prefix}${name}`;
    if (listed.includes(path)) return [];
    return isObject(value) && Object.keys(value).length > 0 ? unlisted(value, `${path}.`) : [path];
  });
}

test('every value of the chart is in the document', () => {
  assert(listed.length > 30);
  assert.deepEqual(unlisted(values, ''), []);
});

test('every value in the document is of the chart', () => {
  assert.deepEqual(
    listed.filter((path) => valueAt(path) === undefined),
    [],
  );
});
