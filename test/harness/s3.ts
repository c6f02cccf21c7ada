// An S3 server of the test's own: versitygw over a folder, TLS with a certificate of the test's CA. Each object is a plain
// file of that folder, so that tests can look at objects and harm them.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Authority, type Certificate } from './certificates.ts';
import type { Namespace } from './namespace.ts';
import { freePort } from './port.ts';
import { ended, until } from './program.ts';
import type { Temp } from './temp.ts';
import { versitygwProgram } from './tools.ts';

const LOOPBACK = '127.0.0.1';
/** What clients sign for unless they find out or are told. */
const REGION = 'us-east-1';
/** Where it keeps uploads that are under way. */
const OWN_FOLDER = '.sgwtmp/';

export interface S3Options {
  /** Signs the server's certificate; made for the server unless given. */
  readonly authority?: Authority;
  /** Instead of one for the address, localhost and the virtual domain. */
  readonly certificate?: Certificate;
  readonly address?: string;
  /** Instead of a free one. */
  readonly port?: number;
  /** Runs there, and listens at its address. */
  readonly inside?: Namespace;
  readonly region?: string;
  /** Buckets are also names below this one: https://BUCKET.DOMAIN:PORT/. */
  readonly virtualDomain?: string;
  /** false: clear text. */
  readonly tls?: boolean;
  /** Further flags of versitygw, before its `posix`. */
  readonly flags?: readonly string[];
  /** Buckets can be told to keep versions. */
  readonly versioning?: boolean;
}

let made = 0;

export class S3Server {
  readonly address: string;
  readonly authority: Authority;
  readonly region: string;
  readonly accessKey = `key${randomBytes(8).toString('hex')}`;
  readonly secretKey = randomBytes(20).toString('hex');
  /** Below it a folder per bucket. */
  readonly folder: string;
  port = 0;
  #options: S3Options;
  readonly #temp: Temp;
  readonly #log: string;
  #tls: readonly string[] = [];
  #child: ChildProcess | undefined;

  private constructor(temp: Temp, authority: Authority, options: S3Options) {
    this.#temp = temp;
    this.#options = options;
    this.authority = authority;
    this.address = options.address ?? options.inside?.address ?? LOOPBACK;
    this.region = options.region ?? REGION;
    this.folder = temp.folder(`s3-${++made}`);
    this.#log = `${this.folder}.log`;
    temp.beforeRemoval(() => this.stop('SIGKILL'));
  }

  static async start(temp: Temp, options: S3Options = {}): Promise<S3Server> {
    const authority = options.authority ?? (await Authority.make(temp));
    const server = new S3Server(temp, authority, options);
    // In a namespace of the test's own nobody else has a port.
    server.port = options.port ?? (await freePort(options.inside === undefined ? server.address : LOOPBACK));
    await server.#begin();
    return server;
  }

  /** The same objects behind other settings, on the same port. */
  async change(options: S3Options): Promise<void> {
    this.#options = { ...this.#options, ...options };
    await this.stop();
    await this.#begin();
  }

  async #begin(): Promise<void> {
    const { tls = true } = this.#options;
    const { certificate, key } = this.#options.certificate ?? (await this.#ownCertificate());
    this.#tls = tls ? ['--cert', certificate, '--key', key] : [];
    await this.start();
  }

  /** On the same port, with the objects that are there. */
  async start(): Promise<void> {
    const { virtualDomain, inside, flags = [], versioning = false } = this.#options;
    const kept = versioning ? ['--versioning-dir', this.#temp.folder(`${basename(this.folder)}-versions`)] : [];
    const where = ['--port', `${this.address}:${this.port}`, '--region', this.region, ...this.#tls];
    const virtual = virtualDomain === undefined ? [] : ['--virtual-domain', virtualDomain];
    const all = ['--quiet', '--keep-alive', ...where, ...virtual, ...flags, 'posix', ...kept, this.folder];
    const env = { ...this.#temp.env, ROOT_ACCESS_KEY: this.accessKey, ROOT_SECRET_KEY: this.secretKey };
    const log = openSync(this.#log, 'a');
    const [program = versitygwProgram, ...args] = [...(inside?.enter ?? []), versitygwProgram, ...all];
    this.#child = spawn(program, args, { env, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child.unref(); // it goes with the test's folder; a test that ends early must not wait for it
    const { pid = 0 } = this.#child;
    await until('the S3 server to listen', () => {
      if (this.#child?.exitCode !== null) throw new Error(`the S3 server ended:\n${readFileSync(this.#log, 'utf8')}`);
      return listens(pid, this.port);
    });
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    child?.ref(); // whoever has nothing else to do must wait, too
    child?.kill(signal);
    if (child !== undefined) await ended(child);
  }

  /** Answers its URL, addressed by path. */
  createBucket(name: string): string {
    mkdirSync(join(this.folder, name));
    return this.url(name);
  }

  /** Keys of a bucket. */
  objects(bucket: string): string[] {
    const all = readdirSync(join(this.folder, bucket), { recursive: true, withFileTypes: true });
    const files = all.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
    return files
      .map((path) => path.slice(this.folder.length + bucket.length + 2))
      .filter((key) => !key.startsWith(OWN_FOLDER))
      .sort();
  }

  /** Addressed by path. */
  url(bucket: string): string {
    return `${this.endpoint}/${bucket}`;
  }

  get endpoint(): string {
    return `${this.#tls.length === 0 ? 'http' : 'https'}://${this.address}:${this.port}`;
  }

  #ownCertificate(): Promise<Certificate> {
    const { virtualDomain } = this.#options;
    const virtual = virtualDomain === undefined ? [] : [virtualDomain, `*.${virtualDomain}`];
    return this.authority.server([...new Set([this.address, LOOPBACK, 'localhost']), ...virtual]);
  }
}

/** Whether anybody does in the network of that process, by what its kernel says. */
function listens(pid: number, port: number): boolean {
  const socket = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F]+:0000 0A `);
  return ['tcp', 'tcp6'].some((family) => socket.test(readFileSync(`/proc/${pid}/net/${family}`, 'utf8')));
}
