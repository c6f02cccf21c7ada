// File calls of Node run on a pool of four threads unless something else is said before the first of them.
const SPARE = 4;

export function useThreads(threads: number): void {
  process.env['UV_THREADPOOL_SIZE'] = String(threads + SPARE);
}
