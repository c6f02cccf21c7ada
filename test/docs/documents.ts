// The documents of the repository as data: their texts, fenced blocks and names in backquotes.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../harness/tools.ts';

export interface Block {
  readonly document: string;
  /** Of its first line of content. */
  readonly line: number;
  readonly language: string;
  /** What stands behind the language on the opening line: the file that the block shows. */
  readonly file: string;
  readonly text: string;
}

export const documents: readonly string[] = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export const textOf = (document: string): string => readFileSync(join(root, document), 'utf8');

export function blocksOf(document: string): Block[] {
  const text = textOf(document);
  return [...text.matchAll(/^```(\S*)[ \t]*(.*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    document,
    line: text.slice(0, match.index).split('\n').length + 1,
    language: match[1] ?? '',
    file: (match[2] ?? '').trim(),
    text: match[3] ?? '',
  }));
}

/** What stands in single backquotes outside of fenced blocks. */
export function quotedIn(text: string): string[] {
  const outside = text.replace(/^```[\s\S]*?^```$/gm, '');
  return [...outside.matchAll(/`([^`]+)`/g)].map(([, quoted = '']) => quoted.replace(/\s+/g, ' '));
}
