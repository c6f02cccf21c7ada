// What keeper and worker say to each other over the control socket, a line of JSON each. Never a secret: those go through
// the state memfd. End of the stream means that the other side is gone.
import { Socket } from 'node:net';
import { type ErrorCode, fail } from '../base/errors.ts';

/** What the options mean for mount(2); the keeper decides which of it is allowed. */
export interface MountShape {
  /** MS_* bits. */
  readonly flags: number;
  readonly allowOther: boolean;
  readonly source: string | null;
  readonly contexts: readonly string[];
}

export type WorkerMessage =
  /** About to derive a key from a passphrase: may it? */
  | { readonly kind: 'unlocking' }
  /** The file system is open; not serving yet. */
  | {
      readonly kind: 'opened';
      readonly uuid: string;
      readonly name: string;
      readonly keyId: string;
      readonly mount: MountShape;
    }
  /** Serving; the mount answers. */
  | { readonly kind: 'ready' }
  /** Answer to a ping. */
  | { readonly kind: 'pong' }
  /** Its counters in Prometheus' text format. */
  | { readonly kind: 'metrics'; readonly text: string }
  /** The proof that was asked for holds. */
  | { readonly kind: 'proven' }
  /** Could not start. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint?: string | undefined }
  /** Serving is over: unmounted, or told to stop. `error`: the last flush failed. */
  | { readonly kind: 'ended'; readonly why: 'unmounted' | 'stopped'; readonly error?: string | undefined };

export type KeeperMessage =
  /** It may: no other worker of the node does at the moment. */
  | { readonly kind: 'unlock' }
  /** Is it still there? */
  | { readonly kind: 'ping' }
  /** What has it counted? */
  | { readonly kind: 'metrics' }
  /** The descriptor is mounted: answer requests. */
  | { readonly kind: 'serve' }
  /** Flush, stop reading, end. keepSession: a successor goes on with it. */
  | { readonly kind: 'stop'; readonly keepSession: boolean };

/** Far above any message; a peer that sends more is broken. */
const MAX_LINE = 65_536;

function parse(line: string): object {
  const message: unknown = JSON.parse(line);
  if (typeof message !== 'object' || message === null) throw fail('internal', 'control: wanted a message');
  return message;
}

export class Control<Out extends object, In> {
  readonly #socket: Socket;

  /** `closed` is called once, after the last message. */
  constructor(fd: number, received: (message: In) => void, closed: () => void) {
    this.#socket = new Socket({ fd, readable: true, writable: true });
    let rest = '';
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      try {
        for (const line of lines) received(parse(line) as In);
      } catch {
        this.#socket.destroy(); // a broken worker must not take the keeper along
      }
      if (rest.length > MAX_LINE) this.#socket.destroy();
    });
    this.#socket.on('error', () => undefined); // 'close' follows
    this.#socket.on('close', closed);
  }

  /** Resolves when the kernel has the line (a worker may end right after); a peer that is gone is no error here. */
  send(message: Out): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write(`${JSON.stringify(message)}\n`, () => resolve());
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
