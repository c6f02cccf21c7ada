// SELinux labels of mounts. Without one a FUSE mount has the label fusefs_t, which no container may touch on a node that
// enforces.

/** user:role:type and a level, as in system_u:object_r:container_file_t:s0:c1,c2. */
export const selinuxLabel = /^[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+(:[A-Za-z0-9_.,:-]+)?$/;

/** In quotes, since a level has commas; the kernel takes them off. */
export const contextOption = (label: string): string => `context="${label}"`;

/** The label of "context=..." with or without quotes; undefined: it is none. */
export function labelOf(value: string): string | undefined {
  const label = /^"(.*)"$/.exec(value)?.[1] ?? value;
  return selinuxLabel.test(label) ? label : undefined;
}
