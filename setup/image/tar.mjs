// A tar archive (POSIX ustar) of a folder or of given entries, whose bytes depend on names, modes and contents alone: sorted,
// time 0, owner 0.
import { createReadStream, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { StepFailed } from '../step.mjs';

const BLOCK = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;

/** Entries of a folder: what stands in it, parents first. */
export function* folderEntries(folder, inside = '') {
  for (const name of readdirSync(join(folder, inside)).sort()) {
    const path = inside === '' ? name : `${inside}/${name}`;
    const stat = lstatSync(join(folder, path));
    const mode = stat.mode & 0o7777;
    if (stat.isDirectory()) {
      yield { path: `${path}/`, mode, size: 0 };
      yield* folderEntries(folder, path);
    } else if (stat.isFile()) yield { path, mode, size: stat.size, file: join(folder, path) };
    else if (stat.isSymbolicLink()) yield { path, mode, size: 0, link: readlinkSync(join(folder, path)) };
    else throw new StepFailed(`${join(folder, path)}: neither a file, nor a link, nor a folder`);
  }
}

/** The bytes of an archive of `entries`: { path, mode, size } with `file`, `content` or, for a symbolic one, `link`. */
export async function* tar(entries) {
  for (const entry of entries) {
    yield header(entry);
    let written = 0;
    for await (const piece of entry.file === undefined
      ? [entry.content ?? Buffer.alloc(0)]
      : createReadStream(entry.file)) {
      written += piece.length;
      yield piece;
    }
    if (written !== entry.size) throw new StepFailed(`${entry.path}: changed while it was read`);
    const rest = entry.size % BLOCK;
    if (rest > 0) yield Buffer.alloc(BLOCK - rest);
  }
  yield Buffer.alloc(2 * BLOCK);
}

function typeOf(path, link) {
  if (link !== undefined) return '2';
  return path.endsWith('/') ? '5' : '0';
}

function header({ path, mode, size, link }) {
  const block = Buffer.alloc(BLOCK);
  const [prefix, name] = split(path);
  block.write(name, 0);
  block.write(octal(mode, 7), 100);
  block.write(octal(0, 7), 108); // owner
  block.write(octal(0, 7), 116); // group
  block.write(octal(size, 11), 124);
  block.write(octal(0, 11), 136); // time
  block.write(typeOf(path, link), 156);
  if (link !== undefined && block.write(link, 157, NAME_BYTES) !== Buffer.byteLength(link))
    throw new StepFailed(`${path}: its link is longer than ${NAME_BYTES} bytes`);
  block.write('ustar\x0000', 257);
  block.write(prefix, 345);
  block.fill(' ', 148, 156); // the sum counts its own field as blanks
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

function octal(value, digits) {
  const text = value.toString(8).padStart(digits, '0');
  if (text.length > digits) throw new StepFailed(`${value} does not fit into a tar header`);
  return text;
}

function split(path) {
  if (Buffer.byteLength(path) <= NAME_BYTES) return ['', path];
  for (let at = path.indexOf('/'); at > 0 && at < path.length - 1; at = path.indexOf('/', at + 1)) {
    const prefix = path.slice(0, at);
    const name = path.slice(at + 1);
    if (Buffer.byteLength(prefix) <= PREFIX_BYTES && Buffer.byteLength(name) <= NAME_BYTES) return [prefix, name];
  }
  throw new StepFailed(`${path}: too long a name for a tar header`);
}
