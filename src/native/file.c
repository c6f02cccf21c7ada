// Whole small files in one trip to a pool thread: a trip costs more than the system calls it carries.
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// An object is header, ciphertext and tag; the caller joins more.
#define MAX_PARTS 8

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  napi_ref parts;
  char path[PATH_MAX], temporary[PATH_MAX];
  struct iovec vec[MAX_PARTS];
  int count, err;
  mode_t mode;
  size_t limit, length;
  uint8_t *bytes;
  bool found, with_folder;
} file_job;

static int write_all(int fd, struct iovec *vec, int count) {
  while (count > 0) {
    ssize_t n = writev(fd, vec, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    while (count > 0 && (size_t)n >= vec->iov_len) {
      n -= (ssize_t)vec->iov_len;
      vec++;
      count--;
    }
    if (count > 0) {
      vec->iov_base = (uint8_t *)vec->iov_base + n;
      vec->iov_len -= (size_t)n;
    }
  }
  return 0;
}

static int sync_folder(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  int err = fsync(fd) ? errno : 0;
  close(fd);
  return err;
}

// The folder of an absolute path.
static int sync_parent(char *path) {
  char *end = strrchr(path, '/');
  if (!end || end == path) return sync_folder("/");
  *end = 0;
  int err = sync_folder(path);
  *end = '/';
  return err;
}

static void run_replace(napi_env env, void *data) {
  (void)env;
  file_job *j = data;
  int fd = open(j->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, j->mode);
  if (fd < 0) {
    j->err = errno;
    return;
  }
  j->err = write_all(fd, j->vec, j->count);
  if (!j->err && fdatasync(fd)) j->err = errno;
  if (close(fd) && !j->err) j->err = errno;
  if (!j->err && rename(j->temporary, j->path)) j->err = errno;
  if (j->err) {
    unlink(j->temporary);
    return;
  }
  if (j->with_folder) j->err = sync_parent(j->path);
}

static int read_open(file_job *j, int fd) {
  struct stat info;
  if (fstat(fd, &info)) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if (info.st_size < 0 || (size_t)info.st_size > j->limit) return 0;
  j->bytes = malloc((size_t)info.st_size + 1);
  if (!j->bytes) return ENOMEM;
  while (j->length < (size_t)info.st_size) {
    ssize_t n = read(fd, j->bytes + j->length, (size_t)info.st_size - j->length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) break;
    j->length += (size_t)n;
  }
  j->found = true;
  return 0;
}

static void run_read(napi_env env, void *data) {
  (void)env;
  file_job *j = data;
  int fd = open(j->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    j->err = errno;
    return;
  }
  j->err = read_open(j, fd);
  close(fd);
}

static void complete(napi_env env, napi_status status, void *data) {
  file_job *j = data;
  napi_value value;
  if (status != napi_ok) j->err = ECANCELED;
  napi_get_undefined(env, &value);
  if (!j->err && j->found && napi_create_buffer_copy(env, j->length, j->bytes, NULL, &value) != napi_ok) j->err = ENOMEM;
  if (j->err)
    napi_reject_deferred(env, j->deferred, make_errno(env, j->parts ? "replaceFile" : "readSmallFile", j->err));
  else
    napi_resolve_deferred(env, j->deferred, value);
  if (j->parts) napi_delete_reference(env, j->parts);
  napi_delete_async_work(env, j->work);
  free(j->bytes);
  free(j);
}

static bool take_path(napi_env env, napi_value value, char *into) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, into, PATH_MAX, &length) != napi_ok) return false;
  // Cut short, or with a NUL inside, it would name another file.
  return length > 0 && length < PATH_MAX - 1 && strlen(into) == length;
}

static napi_value start(napi_env env, file_job *j, const char *what, napi_async_execute_callback run) {
  napi_value promise, name;
  napi_create_promise(env, &j->deferred, &promise);
  napi_create_string_utf8(env, what, NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, NULL, name, run, complete, j, &j->work);
  napi_queue_async_work(env, j->work);
  return promise;
}

static bool take_parts(napi_env env, file_job *j, napi_value parts) {
  uint32_t length = 0;
  if (napi_get_array_length(env, parts, &length) != napi_ok || length > MAX_PARTS) return false;
  for (uint32_t i = 0; i < length; i++) {
    napi_value part;
    struct iovec *vec = &j->vec[j->count];
    napi_get_element(env, parts, i, &part);
    if (napi_get_buffer_info(env, part, &vec->iov_base, &vec->iov_len) != napi_ok) return false;
    if (vec->iov_len > 0) j->count++;
  }
  // The array keeps its buffers.
  return napi_create_reference(env, parts, 1, &j->parts) == napi_ok;
}

// replaceFile(temporary, path, mode, parts, withFolder)
static napi_value replace_file(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  size_t argc = 5;
  uint32_t mode = 0;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  file_job *j = calloc(1, sizeof *j);
  if (!j) return throw_errno(env, "replaceFile", ENOMEM);
  bool good = argc == 5 && take_path(env, argv[0], j->temporary) && take_path(env, argv[1], j->path) &&
              napi_get_value_uint32(env, argv[2], &mode) == napi_ok &&
              napi_get_value_bool(env, argv[4], &j->with_folder) == napi_ok && take_parts(env, j, argv[3]);
  if (!good) {
    free(j);
    return throw_errno(env, "replaceFile", EINVAL);
  }
  j->mode = (mode_t)mode;
  return start(env, j, "replaceFile", run_replace);
}

// readSmallFile(path, limit)
static napi_value read_small_file(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  size_t argc = 2;
  uint32_t limit = 0;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  file_job *j = calloc(1, sizeof *j);
  if (!j) return throw_errno(env, "readSmallFile", ENOMEM);
  if (argc != 2 || !take_path(env, argv[0], j->path) || napi_get_value_uint32(env, argv[1], &limit) != napi_ok) {
    free(j);
    return throw_errno(env, "readSmallFile", EINVAL);
  }
  j->limit = limit;
  return start(env, j, "readSmallFile", run_read);
}

static int run_sync_folder(job *j) {
  return sync_folder(j->s[0]);
}
static const job_kind sync_folder_kind = {"syncFolder", "s", run_sync_folder, NULL};

void init_file(napi_env env, napi_value exports) {
  export_function(env, exports, "replaceFile", replace_file);
  export_function(env, exports, "readSmallFile", read_small_file);
  export_job(env, exports, "syncFolder", &sync_folder_kind);
}
