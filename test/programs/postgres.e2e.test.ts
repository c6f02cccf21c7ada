// A PostgreSQL server whose data directory is on a mount: initdb, pgbench, a crash of the server, its own check of every
// page. The server refuses root, so it runs as somebody else, whom the mount's permissions must let in.
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs, postgresPrograms } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { ProgramVolume } from './volume.ts';

/** Any user but root. */
const UID = 65_534;

class Server {
  readonly #volume: ProgramVolume;
  readonly #data: string;
  readonly #socket: string;
  readonly #log: string;

  constructor(temp: Temp, volume: ProgramVolume) {
    this.#volume = volume;
    chmodSync(temp.path, 0o711); // the other user passes through
    this.#data = join(volume.top, 'data');
    this.#socket = temp.folder('socket');
    this.#log = join(this.#socket, 'log');
    mkdirSync(this.#data, { mode: 0o700 });
    for (const folder of [this.#data, this.#socket]) chownSync(folder, UID, UID);
  }

  program(name: string, ...args: string[]): Promise<string> {
    const user = ['--reuid', String(UID), '--regid', String(UID), '--clear-groups', '--'];
    return this.#volume.run('setpriv', [...user, join(postgresPrograms, name), ...args], { cwd: this.#socket });
  }

  initdb = (): Promise<string> =>
    this.program('initdb', '-D', this.#data, '-U', 'postgres', '-A', 'trust', '--data-checksums', '--locale=C');

  start(): Promise<string> {
    const settings = `-k ${this.#socket} -c listen_addresses= -c fsync=on -c wal_sync_method=fdatasync`;
    return this.program('pg_ctl', '-D', this.#data, '-w', '-t', '300', '-l', this.#log, '-o', settings, 'start');
  }

  stop = (mode: 'fast' | 'immediate'): Promise<string> =>
    this.program('pg_ctl', '-D', this.#data, '-w', '-t', '300', '-m', mode, 'stop');

  pgbench = (...args: string[]): Promise<string> =>
    this.program('pgbench', '-h', this.#socket, '-U', 'postgres', ...args, 'postgres');

  async sql(text: string): Promise<string> {
    return (await this.program('psql', '-h', this.#socket, '-U', 'postgres', '-Atc', text, 'postgres')).trim();
  }

  /** PostgreSQL's reading of every page against its checksum; the server is down. */
  checksums = (): Promise<string> => this.program('pg_checksums', '-D', this.#data, '--check');
}

describe('postgresql', needs(...interopNeeds, 'postgres'), () => {
  test('initdb, pgbench, a crash of the server, and pg_checksums', async (t) => {
    const temp = makeTemp(t);
    const volume = await ProgramVolume.mount(temp);
    const server = new Server(temp, volume);
    await server.initdb();
    await server.start();
    await server.pgbench('-i', '-q', '-s', String(sizes.pgbenchScale));
    const load = ['-c', '4', '-j', '2', '-t', String(sizes.pgbenchTransactions)];
    const report = await server.pgbench(...load);
    const done = 4 * sizes.pgbenchTransactions;
    assert.match(report, new RegExp(`transactions actually processed: ${done}/${done}`));
    await server.stop('immediate');
    await volume.remount();
    await server.start();
    // Each transaction wrote one row of history, and moved as much on every level.
    assert.equal(await server.sql('SELECT COUNT(*) FROM pgbench_history'), String(done));
    const sums = ['pgbench_accounts', 'pgbench_tellers', 'pgbench_branches'].map(
      (table) =>
        `(SELECT SUM(${table === 'pgbench_accounts' ? 'abalance' : table === 'pgbench_tellers' ? 'tbalance' : 'bbalance'}) FROM ${table})`,
    );
    assert.equal(await server.sql(`SELECT ${sums[0]} = ${sums[1]} AND ${sums[1]} = ${sums[2]}`), 't');
    await server.sql('VACUUM FULL');
    await server.stop('fast');
    assert.match(await server.checksums(), /Bad checksums:\s+0/);
    await volume.end();
  });
});
