// Starting a worker as Node's child_process cannot: PID namespace, placed descriptors, no rights. Between clone and exec only raw system calls are made: Node's other threads do not exist
// in the child, so malloc, stdio and glibc's setuid (which asks those threads to follow) would hang.
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define MAX_FDS 16
// Capabilities are 64 bits in the kernel's interface; unknown ones answer EINVAL.
#define MAX_CAPABILITIES 64

struct plan {
  char *file, *directory;
  char **argv, **envp;
  int fds[MAX_FDS];
  uint32_t fd_count;
  bool new_pid_namespace, set_ids;
  uint32_t uid, gid;
  char oom_score_adj[16];
};

// What the child tells before exec. `call` 0: exec follows; else the call that failed.
struct child_report {
  int32_t call, error, io_flusher_error;
};
static const char *const calls[] = {"", "dup", "close_range", "setsid", "setgroups", "setgid", "setuid", "capset",
                                    "prctl", "chdir", "execve", "clone3"};
enum { CALL_DUP = 1, CALL_CLOSE_RANGE, CALL_SETSID, CALL_SETGROUPS, CALL_SETGID, CALL_SETUID, CALL_CAPSET, CALL_PRCTL,
       CALL_CHDIR, CALL_EXEC, CALL_CLONE };

static _Noreturn void give_up(int pipe, struct child_report *report, int call) {
  report->call = call;
  report->error = errno;
  (void)!syscall(SYS_write, pipe, report, sizeof *report);
  syscall(SYS_exit_group, 127);
  __builtin_unreachable();
}

static int place_fds(const struct plan *plan, int *pipe) {
  int copies[MAX_FDS];
  // Above every target first, so that no copy overwrites a source still needed.
  for (uint32_t i = 0; i < plan->fd_count; i++)
    if ((copies[i] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, MAX_FDS + 1)) < 0) return -1;
  int moved = fcntl(*pipe, F_DUPFD_CLOEXEC, MAX_FDS + 1);
  if (moved < 0) return -1;
  *pipe = moved;
  for (uint32_t i = 0; i < plan->fd_count; i++)
    if (dup2(copies[i], (int)i) < 0) return -1;
  return 0;
}

static void reset_signals(void) {
  struct sigaction plain = {.sa_handler = SIG_DFL};
  for (int signal = 1; signal < 65; signal++) sigaction(signal, &plain, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void drop_rights(const struct plan *plan, int pipe, struct child_report *report) {
  report->io_flusher_error = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) ? errno : 0;
  // The bounding set needs CAP_SETPCAP; who lacks it has nothing to give away and no_new_privs keeps it so.
  for (int cap = 0; cap < MAX_CAPABILITIES; cap++) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (plan->set_ids) {
    if (syscall(SYS_setgroups, 0, NULL)) give_up(pipe, report, CALL_SETGROUPS);
    if (syscall(SYS_setresgid, plan->gid, plan->gid, plan->gid)) give_up(pipe, report, CALL_SETGID);
    if (syscall(SYS_setresuid, plan->uid, plan->uid, plan->uid)) give_up(pipe, report, CALL_SETUID);
  }
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct empty[2] = {{0}};
  if (syscall(SYS_capset, &header, empty)) give_up(pipe, report, CALL_CAPSET);
  struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) give_up(pipe, report, CALL_PRCTL);
  // After the change of ids, which clears it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) give_up(pipe, report, CALL_PRCTL);
}

static _Noreturn void child(const struct plan *plan, int pipe) {
  struct child_report report = {0};
  if (place_fds(plan, &pipe)) give_up(pipe, &report, CALL_DUP);
  if (syscall(SYS_close_range, plan->fd_count, ~0U, CLOSE_RANGE_CLOEXEC)) give_up(pipe, &report, CALL_CLOSE_RANGE);
  if (setsid() < 0) give_up(pipe, &report, CALL_SETSID);
  // While the file still belongs to us; raising needs no right, and a failure only costs the preference.
  int adj = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (adj >= 0) (void)!write(adj, plan->oom_score_adj, strlen(plan->oom_score_adj));
  drop_rights(plan, pipe, &report);
  if (chdir(plan->directory)) give_up(pipe, &report, CALL_CHDIR);
  reset_signals();
  (void)!write(pipe, &report, sizeof report);
  execve(plan->file, plan->argv, plan->envp);
  give_up(pipe, &report, CALL_EXEC);
}

static pid_t clone_child(bool new_pid_namespace, int *pidfd) {
  struct clone_args args = {.flags = CLONE_PIDFD | (new_pid_namespace ? CLONE_NEWPID : 0),
                            .pidfd = (uint64_t)(uintptr_t)pidfd,
                            .exit_signal = SIGCHLD};
  return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

// Runs the plan; 0 and the pid, or -1 with report->call and report->error set.
static pid_t start(const struct plan *plan, int *pidfd, bool *namespaced, struct child_report *report) {
  int pipes[2];
  report->call = CALL_CLONE;
  if (pipe2(pipes, O_CLOEXEC)) {
    report->error = errno;
    return -1;
  }
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  *namespaced = plan->new_pid_namespace;
  pid_t pid = clone_child(*namespaced, pidfd);
  if (pid < 0 && *namespaced && errno == EPERM) {
    *namespaced = false;
    pid = clone_child(false, pidfd);
  }
  if (pid == 0) child(plan, pipes[1]);
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(pipes[1]);
  if (pid < 0) {
    report->error = error;
    close(pipes[0]);
    return -1;
  }
  // One report before exec, perhaps a second when exec itself failed; end of file once exec closed the pipe.
  struct child_report got;
  report->call = 0;
  ssize_t n;
  while ((n = read(pipes[0], &got, sizeof got)) != 0) {
    if (n == (ssize_t)sizeof got) *report = got;
    else if (n > 0 || errno != EINTR) break;
  }
  close(pipes[0]);
  if (report->call == 0) return pid;
  siginfo_t info;
  waitid(P_PIDFD, (id_t)*pidfd, &info, WEXITED);
  close(*pidfd);
  return -1;
}

static char *read_string(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text) napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

static char *string_property(napi_env env, napi_value object, const char *name) {
  napi_value value;
  return napi_get_named_property(env, object, name, &value) == napi_ok ? read_string(env, value) : NULL;
}

static char **strings_property(napi_env env, napi_value object, const char *name) {
  napi_value list;
  uint32_t count = 0;
  if (napi_get_named_property(env, object, name, &list) != napi_ok) return NULL;
  if (napi_get_array_length(env, list, &count) != napi_ok) return NULL;
  char **result = calloc(count + 1, sizeof *result);
  for (uint32_t i = 0; result && i < count; i++) {
    napi_value item;
    napi_get_element(env, list, i, &item);
    result[i] = read_string(env, item);
  }
  return result;
}

static bool bool_property(napi_env env, napi_value object, const char *name) {
  napi_value value;
  bool result = false;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) napi_get_value_bool(env, value, &result);
  return result;
}

static int32_t int_property(napi_env env, napi_value object, const char *name, int32_t otherwise) {
  napi_value value;
  int32_t result = otherwise;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) napi_get_value_int32(env, value, &result);
  return result;
}

static void free_strings(char **list) {
  for (char **at = list; at && *at; at++) free(*at);
  free(list);
}

static bool read_plan(napi_env env, napi_value options, struct plan *plan) {
  napi_value fds;
  plan->file = string_property(env, options, "file");
  plan->directory = string_property(env, options, "directory");
  plan->argv = strings_property(env, options, "args");
  plan->envp = strings_property(env, options, "env");
  plan->new_pid_namespace = bool_property(env, options, "newPidNamespace");
  int32_t uid = int_property(env, options, "uid", -1), gid = int_property(env, options, "gid", -1);
  plan->set_ids = uid >= 0 && gid >= 0;
  plan->uid = (uint32_t)uid;
  plan->gid = (uint32_t)gid;
  snprintf(plan->oom_score_adj, sizeof plan->oom_score_adj, "%d", int_property(env, options, "oomScoreAdj", 0));
  if (!plan->file || !plan->directory || !plan->argv || !plan->envp) return false;
  if (napi_get_named_property(env, options, "fds", &fds) != napi_ok) return false;
  if (napi_get_array_length(env, fds, &plan->fd_count) != napi_ok || plan->fd_count > MAX_FDS) return false;
  for (uint32_t i = 0; i < plan->fd_count; i++) {
    napi_value item;
    napi_get_element(env, fds, i, &item);
    if (napi_get_value_int32(env, item, &plan->fds[i]) != napi_ok) return false;
  }
  return true;
}

static void set_int(napi_env env, napi_value object, const char *name, int32_t number) {
  napi_value value;
  napi_create_int32(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

static void set_bool(napi_env env, napi_value object, const char *name, bool flag) {
  napi_value value;
  napi_get_boolean(env, flag, &value);
  napi_set_named_property(env, object, name, value);
}

static napi_value spawn(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value options, result = NULL;
  napi_get_cb_info(env, info, &argc, &options, NULL, NULL);
  struct plan plan = {0};
  if (read_plan(env, options, &plan)) {
    struct child_report report = {0};
    bool namespaced = false;
    int pidfd = -1;
    pid_t pid = start(&plan, &pidfd, &namespaced, &report);
    if (pid < 0) {
      throw_errno(env, calls[report.call], report.error);
    } else {
      napi_create_object(env, &result);
      set_int(env, result, "pid", pid);
      set_int(env, result, "pidfd", pidfd);
      set_bool(env, result, "pidNamespace", namespaced);
      set_bool(env, result, "ioFlusher", report.io_flusher_error == 0);
    }
  } else {
    throw_errno(env, "spawn", EINVAL);
  }
  free(plan.file);
  free(plan.directory);
  free_strings(plan.argv);
  free_strings(plan.envp);
  return result;
}

void init_spawn(napi_env env, napi_value exports) { export_function(env, exports, "spawn", spawn); }
