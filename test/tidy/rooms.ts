// Who may import whom. Held once, here; docs/ARCHITECTURE.md explains it.

/** The folder of src/ -> the folders it may import. A room may always import itself. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  base: [],
  'filesystem/store': ['base'],
  'filesystem/keys': ['base'],
  'filesystem/sql': ['base'],
  'filesystem/cache': ['base', 'filesystem/store'],
  'filesystem/page': ['base', 'filesystem/store', 'filesystem/keys', 'filesystem/cache'],
  'filesystem/meta': ['base', 'filesystem/sql'],
  'filesystem/vfs': ['base', 'filesystem/meta', 'filesystem/page'],
  filesystem: [
    'base',
    'filesystem/store',
    'filesystem/keys',
    'filesystem/sql',
    'filesystem/cache',
    'filesystem/page',
    'filesystem/meta',
    'filesystem/vfs',
  ],
  native: [],
  fuse: ['base', 'native', 'filesystem/vfs'],
  config: ['base'],
  // config: fields of the FileSystem object are checked as those of a StorageClass.
  kube: ['base', 'config'],
  cachedirs: ['base', 'native'],
  keeper: ['base', 'native', 'config'],
  connection: ['base', 'config', 'filesystem'],
  csi: ['base', 'native', 'config', 'kube', 'cachedirs', 'keeper', 'connection', 'filesystem'],
  operator: ['base', 'config', 'kube', 'connection', 'filesystem'],
  kms: ['base', 'config', 'kube', 'filesystem/keys', 'filesystem/sql'],
  console: ['kms', 'filesystem/keys'],
  cli: ['*'],
  main: ['cli'],
};

/** The room of a file below src/; undefined for a file that stands in no room. */
export function roomOf(file: string): string | undefined {
  const path = file.replace(/^src\//, '');
  if (path === 'main.ts') return 'main';
  const folders = path.split('/').slice(0, -1);
  for (let depth = folders.length; depth > 0; depth--) {
    const room = folders.slice(0, depth).join('/');
    if (Object.hasOwn(rooms, room)) return room;
  }
  return undefined;
}

export function mayImport(from: string, to: string): boolean {
  const allowed = rooms[from] ?? [];
  return from === to || allowed.includes(to) || allowed.includes('*');
}
