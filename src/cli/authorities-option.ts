// `--ca-file`, of every command that leads to databases and stores which Secrets name.
import { resolve } from 'node:path';
import { Option } from 'commander';

/** Absolute, since who reads it may live elsewhere. */
export const authoritiesOption = (): Option =>
  new Option(
    '--ca-file <file>',
    'certificate authorities (PEM) that vouch for databases and stores, beside the usual ones',
  ).argParser((path) => resolve(path));
