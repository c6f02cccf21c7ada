// What a refusal of a key means to whoever wrote the Secret. kubelet and the sidecars turn the text of a failed call into an
// Event on the pod or the claim, and come again by themselves with the Secret as it then is: so the text says what to
// correct, and that nothing else needs to be done. The calls do not carry the Secret's name, so the PV's field is named.
import { type ErrorCode, FsError } from '../base/errors.ts';
import { secretNames as names, PASSPHRASE_VARIABLE } from '../config/secret-names.ts';

const where = 'in the Secret of nodeStageSecretRef and nodePublishSecretRef of the PV';
const then = 'the pod starts with no other act';
const passphrase = `${names.passphrase} (or ${PASSPHRASE_VARIABLE} in ${names.environment})`;

/** The text; undefined: the keeper's own, which says what was wanted and found. And what to do. */
const advices: Partial<Record<ErrorCode, readonly [text: string | undefined, hint: string]>> = {
  'wrong-passphrase': [
    'the passphrase does not open the key of the volume',
    `correct ${passphrase} ${where}, or the key if it is damaged; ${then}`,
  ],
  'passphrase-required': [
    'the key of the volume is sealed, and the Secret holds no passphrase',
    `add ${passphrase} ${where}; ${then}`,
  ],
  'key-required': [undefined, `add ${names.privateKey}, and its ${passphrase}, ${where}; ${then}`],
  'damaged-key': [undefined, `correct ${names.privateKey} ${where}: the whole PEM with all of its lines; ${then}`],
  'wrong-key': [
    undefined,
    `put the connection and the key of this volume's file system ${where}, those of another one do not open it; ${then}`,
  ],
  'permission-denied': [undefined, `correct ${names.metaUrl} ${where}; ${then}`],
  'encryption-mismatch': [
    undefined,
    'if it never was, write encryption: none under volumeAttributes of the PV; else somebody changed the record: compare it with a backup',
  ],
};

/** The refusal as an Event should show it; everything else as it was thrown. */
export function advised(thrown: unknown): unknown {
  if (!(thrown instanceof FsError)) return thrown;
  const [text, hint] = advices[thrown.code] ?? [];
  if (hint === undefined) return thrown;
  return new FsError(thrown.code, text ?? thrown.message, { cause: thrown, hint });
}
