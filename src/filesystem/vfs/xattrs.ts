// Extended attributes as a mount shows them. What the kernel looks for on every exec and write is kept from it unless the
// mount was made for it: mostly nobody has any, and asking the metadata each time would cost.
import { fail } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import { type Core, changing } from './core.ts';

/** Attributes of which the mount says whether they are kept. */
export const securityAttributes = ['security.capability', 'security.selinux'] as const;
export type SecurityAttribute = (typeof securityAttributes)[number];

const isHidden = (core: Core, name: string): boolean =>
  securityAttributes.some((one) => one === name && !core.keptSecurity.has(one));

export async function getxattr(core: Core, ino: Ino, name: string): Promise<Buffer> {
  if (isHidden(core, name)) throw fail('ENODATA', `attribute ${name} of inode ${ino}: not kept by this mount`);
  return core.meta.getxattr(ino, name);
}

export async function listxattr(core: Core, ino: Ino): Promise<string[]> {
  return (await core.meta.listxattr(ino)).filter((name) => !isHidden(core, name));
}

export async function setxattr(
  core: Core,
  caller: Caller,
  ino: Ino,
  name: string,
  value: Buffer,
  flags: number,
): Promise<void> {
  if (isHidden(core, name)) throw fail('ENOTSUP', `attribute ${name} of inode ${ino}: not kept by this mount`);
  await changing(core, `set an extended attribute of inode ${ino}`, () =>
    core.meta.setxattr(caller, ino, name, value, flags),
  );
}

export async function removexattr(core: Core, caller: Caller, ino: Ino, name: string): Promise<void> {
  if (isHidden(core, name)) throw fail('ENODATA', `attribute ${name} of inode ${ino}: not kept by this mount`);
  await changing(core, `remove an extended attribute of inode ${ino}`, () => core.meta.removexattr(caller, ino, name));
}
