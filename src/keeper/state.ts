// The state memfd of a volume: what outlives its worker. Every access is one pread or pwrite of this process, so what was
// written is there however the process ends. Only the sealed part holds secrets; it is wiped at unmount.
//
//       0  magic, epoch u32, sealed slot u32 (which of the two is valid), session id u64, connection id u64
//    1024  INIT state: length u32, JSON
//    4096  ids of requests read and not answered: 4096 x u64, 0 is free
//   36864  inodes with data acknowledged and not committed: 65536 x u64, 0 is free
//  561152  sealed part, two slots of 256 KiB: length u32, bytes (handoff.ts)
import { randomBytes } from 'node:crypto';
import { fstatSync, readSync, writeSync } from 'node:fs';
import { fail } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import { native } from '../native/native.ts';
import { IdTable } from './id-table.ts';

const MAGIC = Buffer.from('PGSLST01');
const EPOCH_AT = 8;
const SLOT_AT = 12;
const SESSION_AT = 16;
const CONNECTION_AT = 24;
const INIT_AT = 1024;
const IN_FLIGHT_AT = 4096;
/** The kernel has at most a few dozen background requests and one per waiting thread out at once. */
export const IN_FLIGHT_IDS = 4096;
const MARKS_AT = IN_FLIGHT_AT + IN_FLIGHT_IDS * 8;
/** Files being written at once; dirty pages are bounded far below 64 MiB / 65536 = one page each. */
export const MARKS = 65_536;
const SEALED_AT = MARKS_AT + MARKS * 8;
/** Settings and a key of any sane size (RSA-16384 in PEM is 13 KB). */
const SEALED_SIZE = 256 * KiB;
const SIZE = SEALED_AT + 2 * SEALED_SIZE;
const MFD_CLOEXEC = 1;
/** Of the memfd, as /proc shows it. */
export const STATE_NAME = 'pageseal-state';
const NO_BYTES = Buffer.alloc(0);

export class StateMemory {
  readonly fd: number;
  readonly inFlight: IdTable;
  readonly marks: IdTable;

  private constructor(fd: number) {
    this.fd = fd;
    this.inFlight = new IdTable(fd, IN_FLIGHT_AT, IN_FLIGHT_IDS);
    this.marks = new IdTable(fd, MARKS_AT, MARKS);
  }

  static create(): StateMemory {
    const fd = native.memfdCreate(STATE_NAME, MFD_CLOEXEC);
    writeSync(fd, MAGIC, 0, MAGIC.length, 0);
    writeSync(fd, Buffer.alloc(1), 0, 1, SIZE - 1); // the whole length at once
    const connection = randomBytes(8);
    connection.writeUInt8(connection.readUInt8(7) & 0x7f, 7); // 63 bits
    writeSync(fd, connection, 0, 8, CONNECTION_AT);
    return new StateMemory(fd);
  }

  /** Of an inherited descriptor. */
  static attach(fd: number): StateMemory {
    const { size } = fstatSync(fd);
    if (size !== SIZE) throw fail('internal', `state memory: descriptor ${fd} has ${size} bytes, wanted ${SIZE}`);
    const found = read(fd, 0, MAGIC.length);
    if (!found.equals(MAGIC))
      throw fail(
        'internal',
        `state memory: descriptor ${fd} begins with ${JSON.stringify(String(found))}, not ${MAGIC}`,
      );
    return new StateMemory(fd);
  }

  get epoch(): number {
    return read(this.fd, EPOCH_AT, 4).readUInt32LE();
  }
  set epoch(value: number) {
    writeU32(this.fd, EPOCH_AT, value);
  }

  /** Random 63-bit number of the kernel connection, the same for all workers on it. */
  get connectionId(): bigint {
    return read(this.fd, CONNECTION_AT, 8).readBigUInt64LE();
  }

  get sessionId(): bigint | undefined {
    const id = read(this.fd, SESSION_AT, 8).readBigUInt64LE();
    return id === 0n ? undefined : id;
  }
  set sessionId(value: bigint | undefined) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value ?? 0n);
    writeSync(this.fd, bytes, 0, 8, SESSION_AT);
  }

  /** What INIT agreed on, as JSON; undefined while no worker has answered INIT. */
  get negotiated(): string | undefined {
    const length = read(this.fd, INIT_AT, 4).readUInt32LE();
    return length === 0 ? undefined : read(this.fd, INIT_AT + 4, length).toString();
  }
  set negotiated(json: string) {
    const bytes = Buffer.from(json);
    if (bytes.length > IN_FLIGHT_AT - INIT_AT - 4)
      throw fail('internal', `state memory: INIT state has ${bytes.length} bytes, room for ${IN_FLIGHT_AT - INIT_AT}`);
    writeSync(this.fd, bytes, 0, bytes.length, INIT_AT + 4);
    writeU32(this.fd, INIT_AT, bytes.length); // last: without it there is none
  }

  /** The sealed part; the caller wipes what it gets. */
  unseal(): Buffer {
    const at = this.#slotAt(this.#slot());
    return read(this.fd, at + 4, read(this.fd, at, 4).readUInt32LE());
  }

  /** Replaces the sealed part: whole or not at all, whenever this process is killed; the old one is overwritten. */
  seal(bytes: Buffer): void {
    if (bytes.length > SEALED_SIZE - 4)
      throw fail('bad-input', `key and settings have ${bytes.length} bytes, at most ${SEALED_SIZE - 4} are taken`);
    const old = this.#slot();
    const at = this.#slotAt(1 - old);
    this.#wipeSlot(1 - old);
    writeSync(this.fd, bytes, 0, bytes.length, at + 4);
    writeU32(this.fd, at, bytes.length);
    writeU32(this.fd, SLOT_AT, 1 - old);
    this.#wipeSlot(old);
  }

  /** Overwrites the sealed part, both slots. */
  wipe(): void {
    for (const slot of [0, 1]) this.#wipeSlot(slot);
  }

  #slot(): number {
    return read(this.fd, SLOT_AT, 4).readUInt32LE() & 1;
  }

  #slotAt(slot: number): number {
    return SEALED_AT + slot * SEALED_SIZE;
  }

  #wipeSlot(slot: number): void {
    writeSync(this.fd, Buffer.alloc(SEALED_SIZE), 0, SEALED_SIZE, this.#slotAt(slot));
  }
}

function read(fd: number, at: number, length: number): Buffer {
  if (length === 0) return NO_BYTES;
  const bytes = Buffer.alloc(length);
  const got = readSync(fd, bytes, 0, length, at);
  if (got !== length) throw fail('internal', `state memory: reading ${length} bytes at ${at} gave ${got}`);
  return bytes;
}

function writeU32(fd: number, at: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  writeSync(fd, bytes, 0, 4, at);
}
