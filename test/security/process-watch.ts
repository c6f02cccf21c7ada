// Looks again and again at what /proc shows of every process below this one, however short it lives, and keeps what it saw.
import { readdirSync, readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 8;

export interface SeenProcess {
  readonly pid: number;
  readonly parent: number;
  /** What it is when it was looked at first: children of a shell begin as copies of it. */
  cmdline: string;
  readonly environs: Set<string>;
  readonly cmdlines: Set<string>;
  coreLimit: string;
}

export class ProcessWatch {
  /** Every process that was once a descendant, also after its parent went. */
  readonly seen = new Map<number, SeenProcess>();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  look(): void {
    const parents = new Map<number, number>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const status = read(Number(name), 'status').toString();
      // Of one that is blocked, the other files might keep us waiting.
      if (/^State:\s+[DZX]/m.test(status) || status === '') continue;
      parents.set(Number(name), Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]));
    }
    const isOurs = (pid: number): boolean => {
      for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at))
        if (this.seen.has(at) || parents.get(at) === process.pid) return true;
      return false;
    };
    for (const [pid, parent] of parents) if (isOurs(pid)) this.#note(pid, parent);
  }

  #note(pid: number, parent: number): void {
    const cmdline = read(pid, 'cmdline').toString('latin1');
    const process = this.seen.get(pid) ?? {
      pid,
      parent,
      cmdline,
      environs: new Set<string>(),
      cmdlines: new Set<string>(),
      coreLimit: '',
    };
    this.seen.set(pid, process);
    if (cmdline === '') return; // it is ending
    process.cmdline = cmdline;
    process.cmdlines.add(cmdline);
    // A copy of its parent that has not become a program yet has its parent's, also of what the parent has unset since.
    if (cmdline === this.seen.get(parent)?.cmdline) return;
    process.environs.add(read(pid, 'environ').toString('latin1'));
    process.coreLimit = /^Max core file size\s+(\S+)/m.exec(read(pid, 'limits').toString())?.[1] ?? process.coreLimit;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function read(pid: number, file: string): Buffer {
  try {
    return readFileSync(`/proc/${pid}/${file}`);
  } catch {
    return Buffer.alloc(0); // gone
  }
}
