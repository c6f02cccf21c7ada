// Who may do what, by mode bits and access lists.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENT, type AclRule } from '../../../src/filesystem/meta/acl.ts';
import { mayAccess } from '../../../src/filesystem/meta/permission.ts';
import { type Attr, NodeType } from '../../../src/filesystem/meta/types.ts';
import { root, user } from './tree-volume.ts';

const node = (mode: number, type: NodeType = NodeType.file): Attr => ({
  ino: 9n,
  type,
  flags: 0,
  mode,
  uid: 5,
  gid: 50,
  atime: 0n,
  mtime: 0n,
  ctime: 0n,
  nlink: 1,
  length: 0n,
  rdev: 0,
  parent: 1n,
  accessAcl: 0,
  defaultAcl: 0,
  tier: 0,
});
const rule: AclRule = {
  owner: 6,
  group: 4,
  mask: 6,
  other: 0,
  users: [{ id: 7, perm: 7 }, { id: 8, perm: 0 }], // biome-ignore format: one row
  groups: [{ id: 70, perm: 2 }],
};

for (const [what, mode, uid, gid, mask, granted] of [
  ['the owner by its bits', 0o604, 5, 1, 6, true],
  ['the owner, even when others may more', 0o077, 5, 50, 4, false],
  ['a member by the group bits', 0o640, 6, 50, 4, true],
  ['a member, even when others may more', 0o606, 6, 50, 4, false],
  ['anybody else', 0o641, 6, 6, 1, true],
  ['nobody asks for nothing', 0, 6, 6, 0, true],
  ['root reads and writes all', 0, 0, 0, 6, true],
  ['root executes what somebody may', 0o001, 0, 0, 1, true],
  ['root executes nothing else', 0o666, 0, 0, 1, false],
] as const)
  test(`${what}: ${granted}`, () => assert.equal(mayAccess(node(mode), user(uid, gid), mask), granted));

test('root searches every directory', () => assert.ok(mayAccess(node(0, NodeType.directory), root, 1)));

for (const [what, uid, gid, mask, granted] of [
  ['a named user, masked', 7, 1, 6, true],
  ['a named user beyond the mask', 7, 1, 1, false],
  ['a named user without rights, though its group has some', 8, 50, 4, false],
  ['the owning group', 9, 50, 4, true],
  ['a named group', 9, 70, 2, true],
  ['a named group with other rights', 9, 70, 4, false],
  ['everybody else', 9, 9, 4, false],
] as const)
  test(`by a list: ${what}: ${granted}`, () => {
    assert.equal(mayAccess(node(0o660), user(uid, gid), mask, rule), granted);
  });

test('a list is not asked when the group bits are all off', () => {
  assert.equal(mayAccess(node(0o606), user(7, 1), 4, rule), true);
  assert.equal(mayAccess(node(0o640), user(9, 50), 4, { ...rule, mask: ABSENT }), true);
});
