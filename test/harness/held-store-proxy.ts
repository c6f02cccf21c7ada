// The process of HeldStore: it runs in the network of the server, does what the test tells it and ends with the test.
import { Authority } from './certificates.ts';
import type { FromProxy, HeldRequests, ToProxy } from './held-store.ts';
import { S3Proxy, type SeenRequest } from './s3-proxy.ts';
import { Temp } from './temp.ts';

const temp = new Temp();
let proxy: S3Proxy | undefined;

const say = (message: FromProxy): void => void process.send?.(message);

const matches =
  ({ method, begins, ends = '', query }: HeldRequests) =>
  (seen: SeenRequest): boolean =>
    seen.method === method &&
    seen.path.startsWith(begins) &&
    seen.path.endsWith(ends) &&
    (query === undefined || seen.query.has(query));

async function obey(message: ToProxy): Promise<void> {
  if (message.kind === 'serve') {
    const { authority, ...where } = message.server;
    const target = { ...where, authority: Authority.at(temp, authority) };
    proxy = await S3Proxy.start(temp, target);
    return say({ kind: 'listening', port: proxy.port });
  }
  if (message.kind === 'heal') proxy?.heal();
  else {
    const { number, requests } = message;
    const fits = matches(requests);
    proxy?.inject({ kind: 'hang' }, (seen) => {
      if (fits(seen)) say({ kind: 'held', number });
      return fits(seen);
    });
  }
  say({ kind: 'done' });
}

process.on('message', (message: ToProxy) => void obey(message));
process.once('disconnect', () => void temp.remove().then(() => process.exit()));
