// The record that a file system gets at the end: from the copy of the old one, under a new UUID, which its secrets at rest
// are sealed with.
import { putField } from '../config-fields.ts';
import { openAtRest, REMOVED, sealAtRest } from '../keys/at-rest.ts';
import { PAGESEAL_META_VERSION, parseRecord, parseSetting, printRecord } from '../meta/setting.ts';
import { parseEncryptAlgo } from '../page/seal.ts';
import type { ConversionKey } from './words.ts';

export interface NewRecord {
  readonly uuid: string;
  /** Undefined: it stays unencrypted. */
  readonly key: ConversionKey | undefined;
  readonly encryptAlgo: string | undefined;
}

const secrets = ['SecretKey', 'SessionToken'] as const;

export function newRecord(copy: string, { uuid, key, encryptAlgo }: NewRecord): string {
  const setting = parseSetting(copy);
  const record = new Map(parseRecord(copy));
  const pem = key?.kind === 'in-metadata' ? key.pem : undefined;
  // One mark says of all secrets whether they are sealed: with a key beside them they are.
  const sealed = setting.keyEncrypted || pem !== undefined;
  for (const name of secrets) {
    const old = name === 'SecretKey' ? setting.secretKey : setting.sessionToken;
    if (old === '' || old === REMOVED || !sealed) continue;
    const plain = setting.keyEncrypted ? openAtRest(setting.uuid, old) : Buffer.from(old);
    putField(record, name, sealAtRest(uuid, plain));
    plain.fill(0);
  }
  putField(record, 'UUID', uuid);
  if (pem !== undefined) {
    putField(record, 'EncryptKey', sealAtRest(uuid, pem));
    putField(record, 'KeyEncrypted', true);
  }
  if (encryptAlgo !== undefined) putField(record, 'EncryptAlgo', parseEncryptAlgo(encryptAlgo));
  if (key?.kind === 'self-managed') putField(record, 'MetaVersion', PAGESEAL_META_VERSION);
  return printRecord(record);
}
