// What is measured: each workload acts on one folder of a mount with plain system calls and times itself. Runs in a process
// of its own (load.ts), so that a hung mount can be left behind.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Sizes } from './sizes.ts';

export type Figures = Record<string, number>;
export type Workload = (folder: string, sizes: Sizes) => Figures | Promise<Figures>;

const MIB = 1_048_576;
const SECTOR = 4096;
/** Kept by the kernel for a second; a little more makes it ask again. */
const EXPIRY_MS = 1300;

const seconds = (work: () => void): number => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(5, '0')}`);

/** Half of it compresses away: of each 4 KiB two are random. */
export function halfCompressible(bytes: number): Buffer {
  const data = Buffer.alloc(bytes, 'pageseal ');
  const noise = randomBytes(bytes / 2);
  for (let at = 0; at < bytes; at += SECTOR) noise.copy(data, at, at / 2, at / 2 + SECTOR / 2);
  return data;
}

/** A fixed sequence, the same for both clients. */
function* positions(count: number, slots: number): Generator<number> {
  let state = 0x2545_f491;
  for (let i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield ((state >>> 0) % slots) * SECTOR;
  }
}

function inFile(path: string, flags: string, work: (fd: number) => void): void {
  const fd = openSync(path, flags);
  try {
    work(fd);
  } finally {
    closeSync(fd);
  }
}

function writeWhole(path: string, data: Buffer): void {
  inFile(path, 'w', (fd) => writeSync(fd, data));
}

function readAll(path: string): number {
  const buffer = Buffer.alloc(MIB);
  let total = 0;
  inFile(path, 'r', (fd) => {
    for (;;) {
      const n = readSync(fd, buffer, 0, buffer.length, null);
      if (n === 0) return;
      total += n;
    }
  });
  return total;
}

function each(list: readonly string[], work: (name: string) => void): number {
  return list.length / seconds(() => list.forEach(work));
}

function seqwrite(folder: string, { seqMiB }: Sizes): Figures {
  const pieces = Array.from({ length: 16 }, () => halfCompressible(MIB));
  const spent = seconds(() =>
    inFile(join(folder, 'seq'), 'w', (fd) => {
      for (let i = 0; i < seqMiB; i++) writeSync(fd, pieces[i % pieces.length] as Buffer);
      fsyncSync(fd);
    }),
  );
  return { seqwrite: seqMiB / spent };
}

function seqread(folder: string): Figures {
  const path = join(folder, 'seq');
  let bytes = 0;
  const cold = seconds(() => {
    bytes = readAll(path);
  });
  const warm = seconds(() => readAll(path));
  return { seqread_cold: bytes / MIB / cold, seqread_warm: bytes / MIB / warm };
}

function smallCreate(folder: string, { smallFiles }: Sizes): Figures {
  const small = join(folder, 'small');
  mkdirSync(small);
  const data = halfCompressible(SECTOR);
  return { small_create: each(names('f', smallFiles), (name) => writeWhole(join(small, name), data)) };
}

function smallRead(folder: string, { smallFiles }: Sizes): Figures {
  const small = join(folder, 'small');
  return { small_read_cold: each(names('f', smallFiles), (name) => void readAll(join(small, name))) };
}

async function stat(folder: string, { smallFiles }: Sizes): Promise<Figures> {
  const small = join(folder, 'small');
  const list = names('f', smallFiles);
  const cold = each(list, (name) => void statSync(join(small, name)));
  await new Promise((resolve) => setTimeout(resolve, EXPIRY_MS));
  return { stat_cold: cold, stat_expired: each(list, (name) => void statSync(join(small, name))) };
}

function findLs(folder: string): Figures {
  let found = 0;
  const spent = seconds(() => {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      statSync(join(entry.parentPath, entry.name));
      found++;
    }
  });
  return { find_ls_cold: found / spent };
}

function metadata(folder: string, { mdFiles }: Sizes): Figures {
  const place = join(folder, 'md');
  mkdirSync(place);
  const list = names('m', mdFiles);
  const directories = names('d', mdFiles);
  return {
    md_create: each(list, (name) => inFile(join(place, name), 'wx', () => undefined)),
    md_rename: each(list, (name) => renameSync(join(place, name), join(place, `${name}r`))),
    md_unlink: each(list, (name) => unlinkSync(join(place, `${name}r`))),
    md_mkdir: each(directories, (name) => mkdirSync(join(place, name))),
    md_rmdir: each(directories, (name) => rmdirSync(join(place, name))),
  };
}

function randread(folder: string, { seqMiB, randomReads }: Sizes): Figures {
  const buffer = Buffer.alloc(SECTOR);
  let spent = 0;
  inFile(join(folder, 'seq'), 'r', (fd) => {
    const places = [...positions(randomReads, (seqMiB * MIB) / SECTOR)];
    spent = seconds(() => {
      for (const at of places) readSync(fd, buffer, 0, SECTOR, at);
    });
  });
  return { randread_cold: randomReads / spent };
}

function randwrite(folder: string, { randomMiB, randomWrites, syncWrites }: Sizes): Figures {
  const data = halfCompressible(SECTOR);
  const path = join(folder, 'rand');
  const chunk = halfCompressible(MIB);
  inFile(path, 'w', (fd) => {
    for (let i = 0; i < randomMiB; i++) writeSync(fd, chunk);
    fsyncSync(fd);
  });
  const figures: Figures = {};
  inFile(path, 'r+', (fd) => {
    const places = [...positions(randomWrites, (randomMiB * MIB) / SECTOR)];
    const spent = seconds(() => {
      for (const at of places) writeSync(fd, data, 0, SECTOR, at);
      fsyncSync(fd);
    });
    figures['randwrite'] = randomWrites / spent;
  });
  inFile(join(folder, 'sync'), 'w', (fd) => {
    ftruncateSync(fd, 0);
    const spent = seconds(() => {
      for (let i = 0; i < syncWrites; i++) {
        writeSync(fd, data);
        fsyncSync(fd);
      }
    });
    figures['syncwrite'] = syncWrites / spent;
  });
  return figures;
}

function untar(folder: string, { archive, archiveFiles }: Sizes): Figures {
  const place = join(folder, 'tree');
  mkdirSync(place);
  const spent = seconds(() => {
    const { status, stderr } = spawnSync('tar', ['xf', archive, '-C', place, '--no-same-owner'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`tar: ${stderr}`);
  });
  return { untar: archiveFiles / spent };
}

export const workloads: Readonly<Record<string, Workload>> = {
  seqwrite,
  smallCreate,
  metadata,
  randwrite,
  untar,
  seqread,
  smallRead,
  stat,
  findLs,
  randread,
};
