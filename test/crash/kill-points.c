/*
 * Preloaded into a process under test: every system call that changes a file below POINTS_FOLDER is a point, and before and
 * after every one that sends to a server at one of POINTS_PORTS ("5432,443"); after it the server has the bytes, and nobody
 * reads its answer. The process is killed right at point number POINTS_KILL (from 1). Points that were passed are written to
 * POINTS_LOG, one line each, so that a test can see what was under way. Nothing in the program under test knows of it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void count(const char *call, const char *what) {
  const char *kill_at = getenv("POINTS_KILL");
  long number = atomic_fetch_add(&passed, 1) + 1;
  report(call, what, number);
  if (kill_at != NULL && number == atol(kill_at)) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
  }
}

static void point(const char *call, const char *path) {
  const char *folder = getenv("POINTS_FOLDER");
  /* The log's index of SQLite is memory that all clients share; a kill leaves it as it is. */
  if (folder == NULL || strncmp(path, folder, strlen(folder)) != 0 || strstr(path, "-shm") != NULL) return;
  count(call, path);
}

static void point_fd(const char *call, int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  point(call, path);
}

static int is_listed(const char *ports, int port) {
  for (const char *at = ports; at != NULL; at = strchr(at, ','))
    if (atoi(*at == ',' ? ++at : at) == port) return 1;
  return 0;
}

static void point_sending(const char *call, int fd) {
  const char *ports = getenv("POINTS_PORTS");
  struct sockaddr_in own, peer;
  socklen_t own_size = sizeof own, peer_size = sizeof peer;
  if (ports == NULL || getpeername(fd, (struct sockaddr *)&peer, &peer_size) != 0 || peer.sin_family != AF_INET) return;
  if (!is_listed(ports, ntohs(peer.sin_port))) return;
  getsockname(fd, (struct sockaddr *)&own, &own_size);
  char what[64];
  snprintf(what, sizeof what, "from %d to %d", ntohs(own.sin_port), ntohs(peer.sin_port));
  count(call, what);
}

static void before(const char *call, int fd) {
  point_fd(call, fd);
  point_sending("send", fd);
}

static ssize_t after(int fd, ssize_t result) {
  int error = errno;
  if (result > 0) point_sending("sent", fd);
  errno = error;
  return result;
}

#define NEXT(type, name, ...) \
  static type (*next)(__VA_ARGS__); \
  if (next == NULL) next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size) {
  NEXT(ssize_t, "write", int, const void *, size_t);
  before("write", fd);
  return after(fd, next(fd, data, size));
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

ssize_t writev(int fd, const struct iovec *parts, int parts_count) {
  NEXT(ssize_t, "writev", int, const struct iovec *, int);
  before("writev", fd);
  return after(fd, next(fd, parts, parts_count));
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
