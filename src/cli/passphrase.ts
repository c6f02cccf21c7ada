// Where a passphrase comes from: a file, the environment, or a prompt that shows nothing. Kept in Buffers, which whoever
// opens the key wipes; never in a message.
import { readFileSync } from 'node:fs';
import { fail } from '../base/errors.ts';
import { secretFromEnvironment } from './secrets-environment.ts';

/** The original client's variable; an empty value is an empty passphrase. */
const fromEnvironment = (): Buffer | undefined => secretFromEnvironment('JFS_RSA_PASSPHRASE');

export interface PassphraseFlags {
  readonly passphraseFile?: string;
}

/** Whether the user gave one, an empty one included. */
export const hasPassphrase = (flags: PassphraseFlags): boolean =>
  flags.passphraseFile !== undefined || fromEnvironment() !== undefined;

/**
 * The passphrase for a key. `sealed`: the key is known to need one, so a person at a terminal is asked; otherwise only
 * what was given is used. Answers undefined for none (Enter at the prompt).
 */
export async function passphraseFor(
  flags: PassphraseFlags,
  sealed: boolean,
  question: string,
): Promise<Buffer | undefined> {
  if (flags.passphraseFile !== undefined) return readPassphraseFile(flags.passphraseFile);
  const given = fromEnvironment();
  if (given !== undefined) return Buffer.from(given);
  if (!sealed || !process.stdin.isTTY) return undefined;
  return prompt(question);
}

/** The file's bytes without one trailing newline. */
function readPassphraseFile(file: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw fail('bad-input', `reading the passphrase file failed: ${reason}`, { cause: error });
  }
  return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
}

async function prompt(question: string): Promise<Buffer | undefined> {
  const { password } = await import('@inquirer/prompts');
  try {
    // On stderr: stdout is the command's own. No mask: not even the length is shown, and no key shows it.
    const text = await password(
      { message: `${question} (Enter for none)`, mask: false, toggleMask: false },
      { output: process.stderr },
    );
    return text === '' ? undefined : Buffer.from(text);
  } catch (error) {
    throw fail('cancelled', 'asking for the passphrase was interrupted', { cause: error });
  }
}
