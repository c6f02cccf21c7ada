// Looks at files and file systems: statx, openat2, syncfs, statfs.
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(struct statx) <= JOB_RESULT, "statx fits a job's result");
_Static_assert(sizeof(struct statfs) <= JOB_RESULT, "statfs fits a job's result");

static int run_statx(job *j) {
  struct statx *x = (struct statx *)j->out;
  return statx((int)j->n[0], j->s[0], (int)j->n[1], (unsigned)j->n[2], x) ? errno : 0;
}

static napi_value statx_result(napi_env env, job *j) {
  const struct statx *x = (const struct statx *)j->out;
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "mask", x->stx_mask);
  set_number(env, object, "mode", x->stx_mode);
  set_number(env, object, "nlink", x->stx_nlink);
  set_number(env, object, "uid", x->stx_uid);
  set_number(env, object, "gid", x->stx_gid);
  set_bigint(env, object, "ino", x->stx_ino);
  set_bigint(env, object, "size", x->stx_size);
  set_number(env, object, "devMajor", x->stx_dev_major);
  set_number(env, object, "devMinor", x->stx_dev_minor);
  set_bigint(env, object, "mountId", x->stx_mnt_id);
  set_bigint(env, object, "attributes", x->stx_attributes);
  set_bigint(env, object, "attributesMask", x->stx_attributes_mask);
  return object;
}

static int run_openat2(job *j) {
  struct open_how how = {(uint64_t)j->n[1], (uint64_t)j->n[2], (uint64_t)j->n[3]};
  int fd = (int)syscall(SYS_openat2, (int)j->n[0], j->s[0], &how, sizeof how);
  memcpy(j->out, &fd, sizeof fd);
  return fd < 0 ? errno : 0;
}

static int run_syncfs(job *j) { return syncfs((int)j->n[0]) ? errno : 0; }

static int run_statfs(job *j) {
  struct statfs *f = (struct statfs *)j->out;
  return statfs(j->s[0], f) ? errno : 0;
}

static napi_value statfs_result(napi_env env, job *j) {
  const struct statfs *f = (const struct statfs *)j->out;
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "type", (uint32_t)f->f_type);
  set_number(env, object, "blockSize", f->f_bsize);
  set_bigint(env, object, "blocks", f->f_blocks);
  set_bigint(env, object, "free", f->f_bfree);
  set_bigint(env, object, "available", f->f_bavail);
  set_bigint(env, object, "files", f->f_files);
  set_bigint(env, object, "filesFree", f->f_ffree);
  return object;
}

static const job_kind kinds[] = {
    {"statx", "nsnn", run_statx, statx_result},
    {"openat2", "nsnnn", run_openat2, descriptor_result},
    {"syncfs", "n", run_syncfs, NULL},
    {"statfs", "s", run_statfs, statfs_result},
};

void init_inspect(napi_env env, napi_value exports) {
  export_job(env, exports, "statx", &kinds[0]);
  export_job(env, exports, "openat2", &kinds[1]);
  export_job(env, exports, "syncfs", &kinds[2]);
  export_job(env, exports, "statfs", &kinds[3]);
}
