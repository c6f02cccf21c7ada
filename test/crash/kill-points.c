/*
 * Preloaded into a process under test: every system call that changes a file below POINTS_FOLDER is a point, and the process
 * is killed right before point number POINTS_KILL (from 1). Points that were passed are written to POINTS_LOG, one line each,
 * so that a test can see what was under way. Nothing in the program under test knows of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long passed;

static void report(const char *call, const char *path, long number) {
  const char *log = getenv("POINTS_LOG");
  char line[PATH_MAX + 64];
  int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
  if (log == NULL || length <= 0) return;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (syscall(SYS_write, fd, line, (size_t)length) < 0) _exit(99);
  syscall(SYS_close, fd);
}

static void point(const char *call, const char *path) {
  const char *folder = getenv("POINTS_FOLDER");
  const char *kill_at = getenv("POINTS_KILL");
  /* The log's index of SQLite is memory that all clients share; a kill leaves it as it is. */
  if (folder == NULL || strncmp(path, folder, strlen(folder)) != 0 || strstr(path, "-shm") != NULL) return;
  long number = atomic_fetch_add(&passed, 1) + 1;
  report(call, path, number);
  if (kill_at != NULL && number == atol(kill_at)) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
  }
}

static void point_fd(const char *call, int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  point(call, path);
}

#define NEXT(type, name, ...) \
  static type (*next)(__VA_ARGS__); \
  if (next == NULL) next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size) {
  NEXT(ssize_t, "write", int, const void *, size_t);
  point_fd("write", fd);
  return next(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  NEXT(ssize_t, "pwrite", int, const void *, size_t, off_t);
  point_fd("pwrite", fd);
  return next(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  point_fd("pwrite", fd);
  return next(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  NEXT(ssize_t, "writev", int, const struct iovec *, int);
  point_fd("writev", fd);
  return next(fd, parts, count);
}

int ftruncate64(int fd, off64_t length) {
  NEXT(int, "ftruncate64", int, off64_t);
  point_fd("ftruncate", fd);
  return next(fd, length);
}

int ftruncate(int fd, off_t length) {
  NEXT(int, "ftruncate", int, off_t);
  point_fd("ftruncate", fd);
  return next(fd, length);
}

int fsync(int fd) {
  NEXT(int, "fsync", int);
  point_fd("fsync", fd);
  return next(fd);
}

int fdatasync(int fd) {
  NEXT(int, "fdatasync", int);
  point_fd("fdatasync", fd);
  return next(fd);
}

int rename(const char *from, const char *to) {
  NEXT(int, "rename", const char *, const char *);
  point("rename", to);
  return next(from, to);
}

int unlink(const char *path) {
  NEXT(int, "unlink", const char *);
  point("unlink", path);
  return next(path);
}

int rmdir(const char *path) {
  NEXT(int, "rmdir", const char *);
  point("rmdir", path);
  return next(path);
}

int mkdir(const char *path, mode_t mode) {
  NEXT(int, "mkdir", const char *, mode_t);
  point("mkdir", path);
  return next(path, mode);
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    NEXT(int, #name, const char *, int, ...); \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(more, mode_t) : 0; \
    va_end(more); \
    if (flags & O_CREAT && access(path, F_OK) != 0) point("create", path); \
    return next(path, flags, mode); \
  }

OPEN(open)
OPEN(open64)
