// Descriptors that are no files; libraries that others need in memory first.
#include "native.h"
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static int run_memfd(job *j) {
  int fd = memfd_create(j->s[0], (unsigned)j->n[0]);
  memcpy(j->out, &fd, sizeof fd);
  return fd < 0 ? errno : 0;
}

// Stays loaded: what is loaded later and wants this library by its soname finds it.
static int run_load(job *j) { return dlopen(j->s[0], RTLD_NOW | RTLD_GLOBAL) ? 0 : ENOENT; }

static const job_kind memfd = {"memfd_create", "sn", run_memfd, descriptor_result};
static const job_kind load = {"dlopen", "s", run_load, NULL};

void init_fd(napi_env env, napi_value exports) {
  export_job(env, exports, "memfdCreate", &memfd);
  export_job(env, exports, "loadLibrary", &load);
}
