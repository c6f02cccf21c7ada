// `pageseal status META-URL`: record, sessions, usage. Needs no key and shows none.

import type { Command } from 'commander';
import { withoutSecrets } from '../base/meta-url-text.ts';
import type { Session, Status } from '../filesystem/describe.ts';
import { metaUrlArgument } from './meta-url.ts';

export function register(program: Command): void {
  program
    .command('status')
    .description('show the record, the sessions and the usage of a volume')
    .addArgument(metaUrlArgument())
    .option('--json', 'as JSON, in the form of the original client')
    .action(async (metaUrl: string, flags: { json?: boolean }) => {
      const { placeOfObjects, readStatus } = await import('../filesystem/describe.ts');
      const status = await readStatus(metaUrl);
      const place = placeOfObjects(status.setting);
      console.log(flags.json ? asJson(status) : asText(status, withoutSecrets(metaUrl), place));
    });
}

function asJson(status: Status): string {
  const shown = {
    Setting: JSON.parse(status.record) as unknown,
    Sessions: status.sessions.map((session) => ({
      Sid: Number(session.sid),
      ...session.info,
      Expire: expiry(session),
    })),
    Statistic: {
      UsedSpace: Number(status.usedSpace),
      UsedInodes: Number(status.usedInodes),
      TrashInodes: Number(status.trashInodes),
    },
    Custody: status.custody,
    Owner: status.owner,
    KeyCheck: status.keyId,
  };
  return JSON.stringify(shown, null, 2);
}

const shownClass = (name: string): string => (name === '' ? '' : `, storage class ${name}`);

const expiry = (session: Session): string => new Date(Number(session.expires) * 1000).toISOString();

function asText(status: Status, metadata: string, place: string): string {
  const { setting } = status;
  const key = {
    unencrypted: 'none: pages are not encrypted',
    'self-managed': 'with the user',
    'in-metadata': 'in metadata',
  };
  const lines = [
    ['metadata', metadata],
    ['volume', `${setting.name} (${setting.uuid})`],
    ['owner', status.owner],
    ['objects', `${setting.storage} ${place}${shownClass(setting.storageClass)}`],
    ['pages', `${setting.pageSize / 1024} KiB, ${setting.compression}${setting.hashPrefix ? ', hash prefix' : ''}`],
    ['key', `${key[status.custody]}${sealing(status)}`],
    ['trash', setting.trashDays === 0 ? 'off' : `${setting.trashDays} days, ${status.trashInodes} entries`],
    [
      'used',
      `${status.usedSpace} bytes${limit(setting.capacity)}, ${status.usedInodes} inodes${limit(setting.inodes)}`,
    ],
    ['sessions', String(status.sessions.length)],
    ...status.sessions.map((session) => ['', describe(session)]),
  ];
  return lines.map(([label = '', text]) => `${label.padEnd(10)}${text}`).join('\n');
}

function sealing({ custody, keyId, setting }: Status): string {
  if (custody === 'unencrypted') return '';
  return `, ${setting.encryptAlgo}${keyId === undefined ? '' : `, ${keyId.slice(0, 16)}`}`;
}

const limit = (value: bigint): string => (value === 0n ? '' : ` of ${value}`);

const describe = ({ sid, info, expires }: Session): string =>
  `${sid}: ${info['HostName'] ?? '?'} ${info['MountPoint'] ?? ''}, version ${info['Version'] ?? '?'}, until ${new Date(
    Number(expires) * 1000,
  ).toISOString()}`;
