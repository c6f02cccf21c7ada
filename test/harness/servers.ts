// One PostgreSQL and one S3 server for many tests: those that `npm test` has started for the whole run, else ones of this
// process that end with its tests. As a program: starts them, prints how they are reached, and ends with its input.
import { after } from 'node:test';
import { type Servers, startServers } from './start-servers.ts';
import { Temp } from './temp.ts';

let own: Promise<Servers> | undefined;
let temp: Temp | undefined;

export function sharedServers(): Promise<Servers> {
  const given = process.env['PAGESEAL_SERVERS'];
  if (given === undefined) temp ??= new Temp();
  own ??= temp === undefined ? Promise.resolve(JSON.parse(given ?? '') as Servers) : startServers(temp);
  return own;
}

if (import.meta.main) {
  process.stdout.write(`${JSON.stringify(await sharedServers())}\n`);
  process.stdin.resume().once('end', () => void temp?.remove());
} else {
  after(() => temp?.remove());
}
