// Reading the repository as text for the house rules: files, imports, lengths of functions. Works because every file is
// formatted: a function ends at the first closing brace in the column where it began.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export const readText = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Files of the repository: what git tracks or would track; without git, the folders that hold sources. */
export function repositoryFiles(): string[] {
  if (existsSync(join(root, '.git'))) {
    const out = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
    return out
      .toString()
      .split('\0')
      .filter((file) => file !== '' && existsSync(join(root, file)))
      .sort();
  }
  return ['src', 'test', 'setup', 'demo', 'docs', 'proto']
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(root, join(entry.parentPath, entry.name))),
    )
    .sort();
}

/** Our own code, as opposed to data. */
export const isCode = (file: string): boolean => /\.(ts|tsx|mjs|c|h)$/.test(file) && !file.startsWith('test/volumes/');

/** Repository paths that a file imports or names by a relative path, statically, lazily or by `new URL`. */
export function localImports(file: string): string[] {
  const found = readText(file).matchAll(/['"`](\.{1,2}\/[^'"`$\n]*\.(?:ts|tsx|mjs))['"`]/g);
  return [...found].map((match) => normalize(join(dirname(file), match[1] ?? '')));
}

export interface FunctionSpan {
  readonly line: number;
  readonly length: number;
  readonly text: string;
}

const NOT_A_METHOD = /^\s*(if|for|while|switch|catch|return|await|yield|throw|do|else|try|with|new|typeof|void)\b/;
const OPENERS = [
  /^\s*(export )?(default )?(async )?function\b/,
  /^\s*(static |async |override |get |set |\*)*#?[\w$]+(<[^(]*>)?\(/,
  /=> \{$/,
];
/** Groups of tests are not functions in the sense of the rule; the tests in them are. */
const GROUP = /^\s*(await )?(describe|suite)\(/;

/** The functions of a formatted TypeScript or JavaScript file. */
export function functionSpans(text: string): FunctionSpan[] {
  const lines = text.split('\n');
  const spans: FunctionSpan[] = [];
  for (const [index, line] of lines.entries()) {
    if (!/[{(]$/.test(line) || NOT_A_METHOD.test(line) || GROUP.test(line)) continue;
    if (!OPENERS.some((opener) => opener.test(line))) continue;
    const end = closingLine(lines, index);
    if (end !== undefined) spans.push({ line: index + 1, length: end - index + 1, text: line.trim() });
  }
  return spans;
}

/** C functions: from a line that begins in the first column to the brace in the first column. */
export function cFunctionSpans(text: string): FunctionSpan[] {
  const lines = text.split('\n');
  const spans: FunctionSpan[] = [];
  for (const [index, line] of lines.entries()) {
    if (!/^\w.*\)\s*\{?$/.test(line)) continue;
    const end = lines.indexOf('}', index);
    if (end > 0) spans.push({ line: index + 1, length: end - index + 1, text: line });
  }
  return spans;
}

const indentOf = (line: string): number => line.length - line.trimStart().length;

function closingLine(lines: readonly string[], start: number): number | undefined {
  const first = lines[start] ?? '';
  const indent = indentOf(first);
  let open = first.endsWith('{');
  for (let index = start + 1; index < lines.length; index++) {
    const line = lines[index] ?? '';
    if (line === '' || indentOf(line) !== indent) continue;
    if (!open && line.trimStart().startsWith(')')) {
      if (!line.endsWith('{')) return undefined; // a call over several lines
      open = true;
      continue;
    }
    if (open && line.trimStart().startsWith('}')) return index;
  }
  return undefined;
}
