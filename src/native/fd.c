// Descriptors that are no files.
#include "native.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static int run_memfd(job *j) {
  int fd = memfd_create(j->s[0], (unsigned)j->n[0]);
  memcpy(j->out, &fd, sizeof fd);
  return fd < 0 ? errno : 0;
}

static const job_kind memfd = {"memfd_create", "sn", run_memfd, descriptor_result};

void init_fd(napi_env env, napi_value exports) { export_job(env, exports, "memfdCreate", &memfd); }
