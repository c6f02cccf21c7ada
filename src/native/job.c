// Runs one system call with plain arguments, at once or on a thread of its own. Whatever touches a FUSE mount may wait
// for its server, so a process that serves one, or must not hang with one, takes the second way. Not on libuv's pool: it
// has four threads for everybody, and four calls on mounts that do not answer would stop every other file operation.
#include "native.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_job(job *j) {
  for (int i = 0; i < JOB_STRINGS; i++) free(j->s[i]);
  free(j);
}

static char *take_string(napi_env env, napi_value value) {
  size_t length = 0, copied = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (!text) return NULL;
  napi_get_value_string_utf8(env, value, text, length + 1, &copied);
  // A NUL inside would cut the path that the kernel sees.
  if (strlen(text) == copied) return text;
  free(text);
  return NULL;
}

static job *parse(napi_env env, napi_callback_info info, const job_kind *kind) {
  napi_value argv[JOB_STRINGS + JOB_NUMBERS];
  size_t argc = JOB_STRINGS + JOB_NUMBERS, wanted = strlen(kind->shape), strings = 0, numbers = 0;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  job *j = calloc(1, sizeof *j);
  if (!j) return NULL;
  j->kind = kind;
  bool good = argc >= wanted;
  for (size_t i = 0; good && i < wanted; i++) {
    if (kind->shape[i] == 's')
      good = (j->s[strings++] = take_string(env, argv[i])) != NULL;
    else
      good = napi_get_value_int64(env, argv[i], &j->n[numbers++]) == napi_ok;
  }
  if (good) return j;
  free_job(j);
  return NULL;
}

static napi_value outcome(napi_env env, job *j) {
  napi_value value;
  if (j->kind->result) return j->kind->result(env, j);
  napi_get_undefined(env, &value);
  return value;
}

static napi_value run_now(napi_env env, napi_callback_info info) {
  void *kind;
  napi_get_cb_info(env, info, NULL, NULL, NULL, &kind);
  job *j = parse(env, info, kind);
  if (!j) return throw_errno(env, ((const job_kind *)kind)->name, EINVAL);
  int err = j->kind->run(j);
  napi_value value = err ? throw_errno(env, j->kind->name, err) : outcome(env, j);
  free_job(j);
  return value;
}

// System calls only; the default of 8 MiB would be reserved for each.
#define THREAD_STACK (256 * 1024)

static void *execute(void *data) {
  job *j = data;
  j->err = j->kind->run(j);
  napi_call_threadsafe_function(j->done, j, napi_tsfn_nonblocking);
  return NULL;
}

// On the event loop; without `env` the process is ending.
static void complete(napi_env env, napi_value callback, void *context, void *data) {
  (void)callback;
  (void)context;
  job *j = data;
  if (env && j->err) napi_reject_deferred(env, j->deferred, make_errno(env, j->kind->name, j->err));
  else if (env) napi_resolve_deferred(env, j->deferred, outcome(env, j));
  napi_release_threadsafe_function(j->done, napi_tsfn_release);
  free_job(j);
}

static int start_thread(job *j) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, THREAD_STACK);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  int err = pthread_create(&thread, &attributes, execute, j);
  pthread_attr_destroy(&attributes);
  return err;
}

static napi_value run_on_thread(napi_env env, napi_callback_info info) {
  void *kind;
  napi_value promise, name;
  napi_get_cb_info(env, info, NULL, NULL, NULL, &kind);
  job *j = parse(env, info, kind);
  if (!j) return throw_errno(env, ((const job_kind *)kind)->name, EINVAL);
  napi_create_promise(env, &j->deferred, &promise);
  napi_create_string_utf8(env, j->kind->name, NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, NULL, complete, &j->done);
  j->err = start_thread(j);
  if (j->err) complete(env, NULL, NULL, j);
  return promise;
}

static void export_with(napi_env env, napi_value exports, const char *name, napi_callback fn, const job_kind *kind) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, fn, (void *)kind, &value);
  napi_set_named_property(env, exports, name, value);
}

void export_job(napi_env env, napi_value exports, const char *name, const job_kind *kind) {
  char later[64];
  snprintf(later, sizeof later, "%sAsync", name);
  export_with(env, exports, name, run_now, kind);
  export_with(env, exports, later, run_on_thread, kind);
}

void set_number(napi_env env, napi_value object, const char *name, int64_t value) {
  napi_value number;
  napi_create_int64(env, value, &number);
  napi_set_named_property(env, object, name, number);
}

void set_bigint(napi_env env, napi_value object, const char *name, uint64_t value) {
  napi_value number;
  napi_create_bigint_uint64(env, value, &number);
  napi_set_named_property(env, object, name, number);
}

napi_value descriptor_result(napi_env env, job *j) {
  napi_value value;
  napi_create_int32(env, *(int *)j->out, &value);
  return value;
}
