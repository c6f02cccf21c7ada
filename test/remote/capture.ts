// What a stranger on the wire sees of connections, by capture.py, and what of it is TLS.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Namespace } from '../harness/namespace.ts';
import type { Temp } from '../harness/temp.ts';

const script = fileURLToPath(new URL('capture.py', import.meta.url));

/** One direction of a connection. */
export interface Flow {
  readonly path: string;
  /** Seen from its first byte. */
  readonly started: boolean;
  /** Places where bytes are missing. */
  readonly gaps: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly target: string;
  readonly targetPort: number;
}

export interface Captured {
  readonly frames: number;
  readonly dropped: number;
  readonly flows: readonly Flow[];
  /** File of everything that was not TCP. */
  readonly others: string;
}

export class Capture {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  private constructor(temp: Temp, where: Namespace, interfaceName: string) {
    const [program = '', ...enter] = where.enter;
    const folder = temp.folder(`capture-${interfaceName}`);
    this.#child = spawn(program, [...enter, 'python3', script, interfaceName, folder], {
      env: temp.env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface(this.#child.stdout);
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  static async start(temp: Temp, where: Namespace, interfaceName = where.interfaceName): Promise<Capture> {
    const capture = new Capture(temp, where, interfaceName);
    await capture.#next();
    return capture;
  }

  async end(): Promise<Captured> {
    this.#child.stdin.end();
    const captured = JSON.parse(await this.#next()) as Captured;
    this.#lines.close();
    return captured;
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error('the capture ended without an answer');
    return value;
  }
}

/** PostgreSQL's SSLRequest and its answer, before TLS begins. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const CHANGE_CIPHER_SPEC = 20;
const APPLICATION_DATA = 23;
/** RFC 8446, 5.2: 2^14 bytes and what sealing adds. */
const MOST_OF_A_RECORD = 2 ** 14 + 256;
const HEADER = 5;

/** What of a direction is no TLS record (a line each), and how many bytes were sent as application data. */
export function readTls({ path }: Flow): { readonly clear: readonly string[]; readonly sealed: number } {
  const bytes = readFileSync(path);
  let at = bytes.subarray(0, SSL_REQUEST.length).equals(SSL_REQUEST)
    ? SSL_REQUEST.length
    : bytes[0] === 'S'.charCodeAt(0)
      ? 1
      : 0;
  let sealed = 0;
  while (at + HEADER <= bytes.length) {
    const [type = 0, major = 0] = bytes.subarray(at);
    const length = bytes.readUInt16BE(at + 3);
    if (type < CHANGE_CIPHER_SPEC || type > APPLICATION_DATA || major !== 3 || length > MOST_OF_A_RECORD)
      return {
        clear: [
          `${path}: no TLS record at ${at} of ${bytes.length}: ${bytes.subarray(at, at + 40).toString('latin1')}`,
        ],
        sealed,
      };
    if (type === APPLICATION_DATA) sealed += length;
    at += HEADER + length;
  }
  return { clear: [], sealed };
}
