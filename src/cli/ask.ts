// A question that only a person may say yes to.
import { fail } from '../base/errors.ts';

/** Rejects refused when nobody is there, cancelled for no. */
export async function askYes(command: string, question: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw fail('refused', `${command}: ${question}`, { hint: 'nobody is there to say yes: --yes goes ahead' });
  const { confirm } = await import('@inquirer/prompts');
  const yes = await confirm({ message: question, default: false }, { output: process.stderr }).catch(
    (cause: unknown) => {
      throw fail('cancelled', `${command}: asking was interrupted`, { cause });
    },
  );
  if (!yes) throw fail('cancelled', `${command}: nothing was changed`);
}
