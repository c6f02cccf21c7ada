// Shared by the addon's files. Each file is thin system calls with no policy and registers its functions on `exports`.
#ifndef PAGESEAL_NATIVE_H
#define PAGESEAL_NATIVE_H
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

napi_value make_errno(napi_env env, const char *call, int err);
napi_value throw_errno(napi_env env, const char *call, int err);
void export_function(napi_env env, napi_value exports, const char *name, napi_callback fn);

// job.c: one system call with its arguments, run at once or on a thread of its own.
#define JOB_STRINGS 4
#define JOB_NUMBERS 5
#define JOB_RESULT 256
typedef struct job job;
typedef struct {
  const char *name;  // of the system call, for errors
  const char *shape; // argument kinds in order: s string, n number; a string may not hold NUL
  int (*run)(job *); // 0 or an errno; no napi in here, it may run on another thread
  napi_value (*result)(napi_env env, job *); // NULL: undefined
} job_kind;
struct job {
  const job_kind *kind;
  char *s[JOB_STRINGS];
  int64_t n[JOB_NUMBERS];
  int err;
  napi_threadsafe_function done;
  napi_deferred deferred;
  _Alignas(8) unsigned char out[JOB_RESULT];
};
// Exports `name` (at once) and `nameAsync` (on a thread of its own, for calls that a file system server may hold up).
void export_job(napi_env env, napi_value exports, const char *name, const job_kind *kind);
void set_number(napi_env env, napi_value object, const char *name, int64_t value);
void set_bigint(napi_env env, napi_value object, const char *name, uint64_t value);
napi_value descriptor_result(napi_env env, job *j);

void init_fuse(napi_env env, napi_value exports);
void init_mount(napi_env env, napi_value exports);
void init_fd(napi_env env, napi_value exports);
void init_process(napi_env env, napi_value exports);
void init_spawn(napi_env env, napi_value exports);
void init_inspect(napi_env env, napi_value exports);
void init_file(napi_env env, napi_value exports);
void init_socket(napi_env env, napi_value exports);
#endif
