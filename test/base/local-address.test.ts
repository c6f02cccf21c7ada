// Which addresses are this machine's or its link's, and that nobody is connected to at one, whatever name led there.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { checkRemoteHost, isLocalAddress, isLocalHost, remoteLookup } from '../../src/base/local-address.ts';

const RULE = /^connect to \S+: an endpoint rule refuses this machine, its link and its metadata service/;

test('this machine, its link, everybody and nobody, in each spelling of an address', () => {
  const local = [
    '127.0.0.1', '127.255.255.254', '0.0.0.0', '0.1.2.3', '169.254.0.1', '169.254.169.254', '224.0.0.1', '240.0.0.1', '255.255.255.255',
    '::', '::1', '0:0:0:0:0:0:0:1', 'fe80::1', 'FE80::1', 'febf:ffff::1', 'fe80::1%eth0', 'fe80::1%25eth0', 'ff02::1', 'fd00:ec2::254',
    '::ffff:127.0.0.1', '::FFFF:7f00:1', '0:0:0:0:0:ffff:127.0.0.1', '::ffff:169.254.169.254', '::ffff:0.0.0.0', '::127.0.0.1', '::7f00:1',
    '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b::1',
  ]; // biome-ignore format: a list
  for (const address of local) assert(isLocalAddress(address), address);
  const remote = [
    '1.1.1.1', '10.0.0.1', '126.255.255.255', '128.0.0.1', '169.253.255.255', '169.255.0.1', '172.16.0.1', '192.168.1.1', '198.18.0.1', '223.255.255.255',
    '2001:db8::1', 'fd00::1', 'fd00:ec3::254', 'fec0::1', 'fe7f:ffff::1', '::ffff:10.0.0.1', '64:ff9b::10.0.0.1', '64:ff9c::127.0.0.1', '2001:db8::127.0.0.1',
  ]; // biome-ignore format: a list
  for (const address of remote) assert(!isLocalAddress(address), address);
  for (const name of ['localhost.example.com', 'db.example.com', '', '127.0.0.1.example.com'])
    assert(!isLocalAddress(name), name);
});

test('names that mean this machine everywhere, and hosts without a look-up', () => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    'localhost.localdomain',
    '127.0.0.1',
    '::1',
  ])
    assert(isLocalHost(host), host);
  for (const host of ['localhosts', 'notlocalhost', 'localhost.example.com', '10.0.0.1'])
    assert(!isLocalHost(host), host);
  for (const host of ['[::1]', '::1', '127.0.0.1', 'localhost', '[fe80::1%eth0]'])
    assert.throws(() => checkRemoteHost(host), { code: 'refused', message: RULE }, host);
  for (const host of ['[2001:db8::1]', 'db.example.com', '10.0.0.1']) checkRemoteHost(host);
});

/** What `net.connect` hears, whether it asks for one address or for all. */
function found(host: string, all: boolean): Promise<unknown> {
  return new Promise((resolve, reject) =>
    remoteLookup(host, { all }, (error, address, family) =>
      error === null ? resolve(all ? address : { address, family }) : reject(error),
    ),
  );
}

test('the look-up hands over what was checked, and nothing of a name that leads here', async () => {
  assert.deepEqual(await found('198.18.0.1', true), [{ address: '198.18.0.1', family: 4 }]);
  assert.deepEqual(await found('198.18.0.1', false), { address: '198.18.0.1', family: 4 });
  // As the C library reads them: names to Node, and to it addresses.
  for (const host of ['localhost', '127.1', '2130706433', '0x7f.1', '169.254.43518', '0'])
    for (const all of [true, false])
      await assert.rejects(found(host, all), (thrown) => hasCode(thrown, 'refused') && RULE.test(thrown.message), host);
  await assert.rejects(found('nowhere.invalid', true), { code: /^(ENOTFOUND|EAI_AGAIN)$/ });
});

test('a connection by such a name is never made', async () => {
  let connections = 0;
  const server = createServer(() => connections++).listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const attempt = (lookup?: typeof remoteLookup): Promise<unknown> => {
    const socket = connect({ host: 'localhost', port, ...(lookup && { lookup }) });
    return once(socket, 'connect').finally(() => socket.destroy());
  };
  await assert.rejects(
    attempt(remoteLookup),
    (thrown) => hasCode(thrown, 'refused') && / leads to (127\.|::1)/.test(thrown.message),
  );
  assert.equal(connections, 0);
  await attempt();
  server.close();
  await once(server, 'close');
  assert.equal(connections, 1, 'without the rule there is a way');
});
