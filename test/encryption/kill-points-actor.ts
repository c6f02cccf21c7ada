// The process that is killed: kill-points-actor.ts META-URL KEY UUID. Wipes the file system of that UUID and turns its
// encryption on, without waiting; asked again, it goes on, and says so when it was done.
import { readFileSync } from 'node:fs';
import { hasCode } from '../../src/base/errors.ts';
import { turnOn } from '../../src/filesystem/encryption/turn-on.ts';
import { OWNER, WaitingClock } from './fixture.ts';

const [metaUrl = '', key = '', wipeUuid = ''] = process.argv.slice(2);
await turnOn(
  { metaUrl },
  {
    ...OWNER,
    key: { kind: 'in-metadata', pem: readFileSync(key) },
    wipeUuid,
    waiting: { clock: new WaitingClock() },
  },
).catch((thrown: unknown) => {
  if (!hasCode(thrown, 'already-formatted')) throw thrown;
});
