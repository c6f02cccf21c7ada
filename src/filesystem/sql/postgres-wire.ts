// The socket that the driver gets. Holds back what it writes until a flight is complete, so that a flight is one write,
// and lets nothing out afterwards: the driver by itself repeats a statement whose plan is gone, which after a failed
// transaction would run outside of one.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

type State = 'starting' | 'idle' | 'gathering' | 'answering';

export class Wire extends EventEmitter {
  readonly #socket: Socket;
  #state: State = 'starting';
  #held: Buffer[] = [];
  #lost = false;
  #tellFlight: (() => void) | undefined;
  /** Resolves when the connection is gone, whoever ended it. */
  readonly gone: Promise<void>;

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    this.gone = new Promise((resolve) => {
      socket.on('close', (failed) => {
        this.#lost = true;
        resolve();
        this.#tellFlight?.();
        this.emit('close', failed);
      });
    });
    socket.on('data', (bytes) => this.emit('data', bytes));
    socket.on('error', (thrown) => this.emit('error', thrown));
    socket.on('end', () => {
      this.#lost = true;
    });
    // The driver takes its listeners off before the last events.
    this.on('error', () => undefined);
  }

  get lost(): boolean {
    return this.#lost || this.#socket.destroyed;
  }

  /** Asked by the driver before it says goodbye. */
  get readyState(): string {
    return this.#socket.readyState;
  }

  /** From now on only flights are written. */
  started(): void {
    this.#state = 'idle';
  }

  /** Answers what resolves when the connection is gone before all answers are there; a new one each time, to be forgotten. */
  gather(): Promise<void> {
    this.#state = 'gathering';
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tellFlight = resolve;
    return promise;
  }

  /** Sends what was gathered in one piece. */
  send(): void {
    this.#state = 'answering';
    const held = this.#held;
    this.#held = [];
    if (!this.lost) this.#socket.write(held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held));
  }

  settled(): void {
    this.#tellFlight = undefined;
    this.#state = 'idle';
  }

  write(bytes: Buffer): boolean {
    if (this.#state === 'starting') return this.#socket.write(bytes);
    if (this.#state === 'gathering') {
      this.#held.push(bytes);
      return true;
    }
    this.destroy(new Error('the driver wanted to write outside of a flight'));
    return true;
  }

  end(bytes: Buffer): void {
    this.#socket.end(bytes);
  }

  destroy(reason?: Error): void {
    this.#lost = true;
    this.#socket.destroy(reason);
  }

  override removeAllListeners(): this {
    super.removeAllListeners();
    return this.on('error', () => undefined);
  }
}
