// Mounting and unmounting. Numbers of calls that older C libraries lack are the kernel's own.
#include "native.h"
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

// mount_setattr(2)'s argument, version 0 (32 bytes).
struct mount_change {
  uint64_t set, clear, propagation, user_namespace;
};

static int run_mount(job *j) {
  return mount(j->s[0], j->s[1], j->s[2], (unsigned long)j->n[0], j->s[3]) ? errno : 0;
}

static int run_umount(job *j) { return umount2(j->s[0], (int)j->n[0]) ? errno : 0; }

static int run_open_tree(job *j) {
  int fd = (int)syscall(SYS_open_tree, (int)j->n[0], j->s[0], (unsigned)j->n[1]);
  memcpy(j->out, &fd, sizeof fd);
  return fd < 0 ? errno : 0;
}

static int run_move_mount(job *j) {
  return syscall(SYS_move_mount, (int)j->n[0], j->s[0], (int)j->n[1], j->s[1], (unsigned)j->n[2]) ? errno : 0;
}

static int run_mount_setattr(job *j) {
  struct mount_change change = {(uint64_t)j->n[2], (uint64_t)j->n[3], 0, 0};
  return syscall(SYS_mount_setattr, (int)j->n[0], j->s[0], (unsigned)j->n[1], &change, sizeof change) ? errno : 0;
}

static const job_kind kinds[] = {
    {"mount", "sssns", run_mount, NULL},
    {"umount2", "sn", run_umount, NULL},
    {"open_tree", "nsn", run_open_tree, descriptor_result},
    {"move_mount", "nsnsn", run_move_mount, NULL},
    {"mount_setattr", "nsnnn", run_mount_setattr, NULL},
};

void init_mount(napi_env env, napi_value exports) {
  export_job(env, exports, "mount", &kinds[0]);
  export_job(env, exports, "umount", &kinds[1]);
  export_job(env, exports, "openTree", &kinds[2]);
  export_job(env, exports, "moveMount", &kinds[3]);
  export_job(env, exports, "mountSetattr", &kinds[4]);
}
