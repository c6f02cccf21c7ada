// Mount options as fstab and users give them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MountFlag, parseMountOptions } from '../../src/fuse/mount-options.ts';

test('nothing given: no foreign set-user-id, no devices, for the mounting user', () => {
  assert.deepEqual(parseMountOptions([]), {
    flags: MountFlag.NOSUID | MountFlag.NODEV,
    allowOther: false,
    transport: 'kernel',
    source: undefined,
    contexts: [],
  });
});

test('options add up, later ones win', () => {
  const { flags, allowOther, source } = parseMountOptions(['ro,noatime,suid', 'allow_other,dev', 'fsname=a,rw,noexec']);
  assert.equal(flags, MountFlag.NOATIME | MountFlag.NOEXEC);
  assert.equal(allowOther, true);
  assert.equal(source, 'a');
});

test('what fstab needs is accepted, an SELinux context keeps its commas', () => {
  const parsed = parseMountOptions(['defaults,_netdev, nofail,context="system_u:object_r:t:s0:c1,c2"', '']);
  assert.deepEqual(parsed.contexts, ['context="system_u:object_r:t:s0:c1,c2"']);
});

test('what is not known is refused by name', () => {
  const refused = (text: string, message: RegExp): void =>
    assert.throws(() => parseMountOptions([text]), { code: 'bad-input', message });
  refused('noatime,writeback_cache', /'writeback_cache'/);
  refused('ro=1', /'ro=1'/);
  refused('fd=3', /'fd=3'/);
  refused('transport=nfs', /transport.*'nfs'/);
  refused('transport', /transport/);
  refused('rootmode=0', /rootmode/);
});
