// The end of processes that spawn.c started, and a few calls about this process.
#include "native.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct watch {
  uv_poll_t poll; // first: the handle is the watch
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  int pidfd;
};

static void watch_closed(uv_handle_t *handle) { free(handle); }

static void exited(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct watch *watch = (struct watch *)poll;
  siginfo_t info = {0};
  if (waitid(P_PIDFD, (id_t)watch->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) return;
  uv_poll_stop(poll);
  close(watch->pidfd);
  napi_env env = watch->env;
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_value callback, receiver, args[2], ignored;
  bool by_signal = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
  napi_get_reference_value(env, watch->callback, &callback);
  napi_get_global(env, &receiver);
  napi_create_int32(env, by_signal ? 0 : info.si_status, &args[0]);
  napi_create_int32(env, by_signal ? info.si_status : 0, &args[1]);
  if (napi_make_callback(env, watch->context, receiver, callback, 2, args, &ignored) == napi_pending_exception) {
    // Left pending it would come out of whatever is called next.
    napi_get_and_clear_last_exception(env, &ignored);
    napi_fatal_exception(env, ignored);
  }
  napi_delete_reference(env, watch->callback);
  napi_async_destroy(env, watch->context);
  napi_close_handle_scope(env, scope);
  uv_close((uv_handle_t *)poll, watch_closed);
}

static napi_value watch_exit(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value args[2], name;
  int pidfd;
  uv_loop_t *loop;
  napi_get_cb_info(env, info, &argc, args, NULL, NULL);
  if (argc < 2 || napi_get_value_int32(env, args[0], &pidfd) != napi_ok) return throw_errno(env, "watchExit", EINVAL);
  struct watch *watch = calloc(1, sizeof *watch);
  if (!watch) return throw_errno(env, "watchExit", ENOMEM);
  watch->env = env;
  watch->pidfd = pidfd;
  napi_create_reference(env, args[1], 1, &watch->callback);
  napi_create_string_utf8(env, "pageseal:watchExit", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &watch->context);
  napi_get_uv_event_loop(env, &loop);
  int failed = uv_poll_init(loop, &watch->poll, pidfd);
  if (failed) {
    napi_delete_reference(env, watch->callback);
    napi_async_destroy(env, watch->context);
    free(watch);
    return throw_errno(env, "uv_poll_init", -failed);
  }
  uv_poll_start(&watch->poll, UV_READABLE, exited);
  return NULL;
}

// Through the pidfd: never a process that took over the number.
static napi_value signal_process(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value args[2];
  int pidfd, signal;
  napi_get_cb_info(env, info, &argc, args, NULL, NULL);
  if (argc < 2 || napi_get_value_int32(env, args[0], &pidfd) != napi_ok ||
      napi_get_value_int32(env, args[1], &signal) != napi_ok)
    return throw_errno(env, "pidfd_send_signal", EINVAL);
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0)) return throw_errno(env, "pidfd_send_signal", errno);
  return NULL;
}

static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  napi_value pair, item;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) return throw_errno(env, "socketpair", errno);
  napi_create_array_with_length(env, 2, &pair);
  for (uint32_t i = 0; i < 2; i++) {
    napi_create_int32(env, fds[i], &item);
    napi_set_element(env, pair, i, item);
  }
  return pair;
}

static napi_value lock_file(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value arg, result;
  int fd;
  napi_get_cb_info(env, info, &argc, &arg, NULL, NULL);
  if (argc < 1 || napi_get_value_int32(env, arg, &fd) != napi_ok) return throw_errno(env, "flock", EINVAL);
  int failed = flock(fd, LOCK_EX | LOCK_NB);
  if (failed && errno != EWOULDBLOCK) return throw_errno(env, "flock", errno);
  napi_get_boolean(env, !failed, &result);
  return result;
}

static napi_value set_dumpable(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value arg;
  bool dumpable = false;
  napi_get_cb_info(env, info, &argc, &arg, NULL, NULL);
  if (argc < 1 || napi_get_value_bool(env, arg, &dumpable) != napi_ok) return throw_errno(env, "prctl", EINVAL);
  struct rlimit no_core = {0, 0};
  if (!dumpable) setrlimit(RLIMIT_CORE, &no_core);
  if (prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0)) return throw_errno(env, "prctl", errno);
  return NULL;
}

static napi_value set_io_flusher(napi_env env, napi_callback_info info) {
  (void)info;
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)) return throw_errno(env, "prctl", errno);
  return NULL;
}

void init_process(napi_env env, napi_value exports) {
  export_function(env, exports, "watchExit", watch_exit);
  export_function(env, exports, "signalProcess", signal_process);
  export_function(env, exports, "socketPair", socket_pair);
  export_function(env, exports, "tryLock", lock_file);
  export_function(env, exports, "setDumpable", set_dumpable);
  export_function(env, exports, "setIoFlusher", set_io_flusher);
}
