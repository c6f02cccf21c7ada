// `pageseal encrypt META-URL`: turns the encryption of an empty file system on, or of one that is wiped first.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { FileSystemPlace } from '../filesystem/encryption/words.ts';
import { askYes } from './ask.ts';
import { toJson } from './json.ts';
import { addKeyOptions, formatKey, type KeyFlags } from './key-options.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends KeyFlags, StoreFlags {
  readonly check?: boolean;
  readonly abandon?: boolean;
  readonly wipe?: string;
  readonly encryptAlgo?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const ENCRYPT_EXAMPLES = `
Examples:
  pageseal encrypt sqlite3:///srv/meta.db --check                        (what stands against it)
  pageseal encrypt sqlite3:///srv/meta.db --rsa-key volume.pem
  pageseal encrypt sqlite3:///srv/meta.db --rsa-key volume.pem --wipe 7c9e6679-7425-40de-944b-e07fc1f90ae7

It takes a minute at least: so long is waited for clients that came at the last moment. Cut short, the same command goes
on where it was; --abandon gives up instead. The file system gets a new UUID.`;

export function register(program: Command): void {
  const command = program
    .command('encrypt')
    .description('turn encryption on: of an empty file system that nobody has mounted, or of one that is wiped first')
    .addArgument(metaUrlArgument())
    .option('--check', 'only say what is in it, and change nothing')
    .option('--wipe <UUID>', 'first remove everything in it, for good; its UUID, as pageseal status shows it')
    .option('--abandon', 'give up what was begun; not once a wipe has')
    .option('--encrypt-algo <name>', 'aes256gcm-rsa or chacha20-rsa, if not as the record says')
    .option('-y, --yes', 'do not ask before wiping')
    .option('--json', 'the outcome as JSON');
  addStoreOptions(addKeyOptions(command)).addHelpText('after', ENCRYPT_EXAMPLES).action(encrypt);
}

async function encrypt(metaUrl: string, flags: Flags): Promise<void> {
  const place: FileSystemPlace = { metaUrl, ...storeOption(flags) };
  if (flags.check) return check(place, flags);
  if (flags.abandon) return giveUp(place, flags);
  const key = await formatKey(flags);
  if (key.kind === 'none')
    throw fail('bad-input', 'encrypt: no key was given', { hint: '--rsa-key, or --encrypt-rsa-key for the metadata' });
  if (flags.wipe !== undefined && !flags.yes)
    await askYes('encrypt', `Wipe file system ${flags.wipe} for good, with every file and object in it?`);
  const { turnOn } = await import('../filesystem/encryption/turn-on.ts');
  const progress = await showProgress('waiting for clients, seconds', flags.json);
  const done = await turnOn(place, {
    owner: 'user',
    key,
    ...(flags.wipe !== undefined && { wipeUuid: flags.wipe }),
    ...(flags.encryptAlgo !== undefined && { encryptAlgo: flags.encryptAlgo }),
    waiting: { onWait: (elapsed, wanted) => progress.on(Math.round(elapsed / 1000), Math.ceil(wanted / 1000)) },
  }).finally(progress.end);
  const wiped = done.objectsRemoved === undefined ? '' : `${done.objectsRemoved} objects removed, `;
  const changed = done.changed.map(({ name }) => name);
  if (changed.length > 0)
    process.stderr.write(`pageseal: another client changed ${changed.join(', ')} meanwhile; that is undone\n`);
  console.log(flags.json ? toJson(done) : `${wiped}encryption is on; the file system is ${done.uuid} now`);
}

async function check(place: FileSystemPlace, flags: Flags): Promise<void> {
  const { inspectEmptiness } = await import('../filesystem/encryption/emptiness.ts');
  const { conversionState } = await import('../filesystem/encryption/lock.ts');
  const state = await conversionState(place);
  const found = await inspectEmptiness(place);
  if (found.reasons.length > 0) process.exitCode = 6;
  if (flags.json) return console.log(toJson({ state, ...found }, 2));
  if (state.kind === 'under-way') console.log(`a conversion is under way: ${state.step}`);
  if (state.kind === 'at-rest' && state.custody !== 'unencrypted') console.log('encryption is on already');
  for (const { code, text } of found.reasons) console.log(`${code}: ${text}`);
  if (found.reasons.length === 0) console.log('empty, and nobody has it mounted');
}

async function giveUp(place: FileSystemPlace, flags: Flags): Promise<void> {
  const { abandon } = await import('../filesystem/encryption/switch.ts');
  const done = await abandon(place, { owner: 'user' });
  if (flags.json) return console.log(toJson(done ?? null));
  console.log(done === undefined ? 'nothing was under way' : `given up; the file system is ${done.uuid}, unencrypted`);
}
