// Packets over unix sockets (SOCK_SEQPACKET) that carry descriptors, and descriptors on the event loop. Nothing here waits.
#include "native.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

// Descriptors of one packet; the kernel closes what a peer sends beyond.
#define MAX_PACKET_FDS 8

static int address_of(const char *path, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address->sun_path) return ENAMETOOLONG;
  strcpy(address->sun_path, path);
  return 0;
}

static int open_at(job *j, int (*attach)(int, const struct sockaddr_un *, job *)) {
  struct sockaddr_un address;
  int err = address_of(j->s[0], &address);
  if (err) return err;
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  err = attach(fd, &address, j);
  if (err) close(fd);
  memcpy(j->out, &fd, sizeof fd);
  return err;
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, job *j) {
  if (bind(fd, (const struct sockaddr *)address, sizeof *address)) return errno;
  return listen(fd, (int)j->n[0]) ? errno : 0;
}

static int connect_to(int fd, const struct sockaddr_un *address, job *j) {
  (void)j;
  return connect(fd, (const struct sockaddr *)address, sizeof *address) ? errno : 0;
}

static int run_listen(job *j) { return open_at(j, bind_and_listen); }

static int run_connect(job *j) { return open_at(j, connect_to); }

static int run_accept(job *j) {
  int fd = accept4((int)j->n[0], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  memcpy(j->out, &fd, sizeof fd);
  return fd < 0 ? errno : 0;
}

static int run_peer(job *j) {
  socklen_t length = sizeof(struct ucred);
  return getsockopt((int)j->n[0], SOL_SOCKET, SO_PEERCRED, j->out, &length) ? errno : 0;
}

static napi_value peer_result(napi_env env, job *j) {
  const struct ucred *peer = (const struct ucred *)j->out;
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "pid", peer->pid);
  set_number(env, object, "uid", peer->uid);
  set_number(env, object, "gid", peer->gid);
  return object;
}

static int run_poll(job *j) {
  struct pollfd asked = {.fd = (int)j->n[0], .events = (short)j->n[1]};
  if (poll(&asked, 1, 0) < 0) return errno;
  int found = asked.revents;
  memcpy(j->out, &found, sizeof found);
  return 0;
}

// sendPacket(fd, data, fds): 0 or the errno.
static napi_value send_packet(napi_env env, napi_callback_info info) {
  napi_value argv[3], item, result;
  size_t argc = 3;
  int32_t fd, fds[MAX_PACKET_FDS];
  uint32_t count = 0;
  struct iovec part;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  bool good = argc == 3 && napi_get_value_int32(env, argv[0], &fd) == napi_ok &&
              napi_get_buffer_info(env, argv[1], &part.iov_base, &part.iov_len) == napi_ok &&
              napi_get_array_length(env, argv[2], &count) == napi_ok && count <= MAX_PACKET_FDS;
  for (uint32_t i = 0; good && i < count; i++)
    good = napi_get_element(env, argv[2], i, &item) == napi_ok && napi_get_value_int32(env, item, &fds[i]) == napi_ok;
  if (!good) return throw_errno(env, "sendmsg", EINVAL);
  union {
    char bytes[CMSG_SPACE(sizeof fds)];
    struct cmsghdr align;
  } control = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
  }
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  napi_create_int32(env, sent < 0 ? errno : 0, &result);
  return result;
}

static napi_value descriptors_of(napi_env env, struct msghdr *message) {
  napi_value list, item;
  uint32_t at = 0;
  napi_create_array(env, &list);
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      napi_create_int32(env, fd, &item);
      napi_set_element(env, list, at++, item);
    }
  }
  return list;
}

// receivePacket(fd, limit): the next packet, or undefined when none is there. One without data is the end.
static napi_value receive_packet(napi_env env, napi_callback_info info) {
  napi_value argv[2], packet, value;
  size_t argc = 2;
  int32_t fd;
  uint32_t limit;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc != 2 || napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
      napi_get_value_uint32(env, argv[1], &limit) != napi_ok || limit == 0)
    return throw_errno(env, "recvmsg", EINVAL);
  struct iovec part = {.iov_base = malloc(limit), .iov_len = limit};
  if (!part.iov_base) return throw_errno(env, "recvmsg", ENOMEM);
  union {
    char bytes[CMSG_SPACE(MAX_PACKET_FDS * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t got;
  do got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  int err = errno;
  if (got < 0) {
    free(part.iov_base);
    return err == EAGAIN ? NULL : throw_errno(env, "recvmsg", err);
  }
  napi_create_object(env, &packet);
  napi_create_buffer_copy(env, (size_t)got, part.iov_base, NULL, &value);
  free(part.iov_base);
  napi_set_named_property(env, packet, "data", value);
  napi_set_named_property(env, packet, "fds", descriptors_of(env, &message));
  napi_get_boolean(env, (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0, &value);
  napi_set_named_property(env, packet, "truncated", value);
  return packet;
}

typedef struct {
  uv_poll_t poll; // first: the handle is the watcher
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  bool ended, closed, finalized;
} watcher;

static void free_when_done(watcher *w) {
  if (w->closed && w->finalized) free(w);
}

static void watcher_closed(uv_handle_t *handle) {
  watcher *w = (watcher *)handle;
  w->closed = true;
  free_when_done(w);
}

static void finalize_watcher(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  watcher *w = data;
  w->finalized = true;
  free_when_done(w);
}

static void on_ready(uv_poll_t *handle, int status, int events) {
  watcher *w = (watcher *)handle;
  napi_handle_scope scope;
  napi_value callback, receiver, argument, error;
  napi_open_handle_scope(w->env, &scope);
  napi_get_reference_value(w->env, w->callback, &callback);
  napi_get_global(w->env, &receiver);
  // An error of the descriptor shows in the next call on it.
  napi_create_int32(w->env, status < 0 ? UV_READABLE | UV_WRITABLE : events, &argument);
  if (napi_make_callback(w->env, w->context, receiver, callback, 1, &argument, NULL) == napi_pending_exception) {
    napi_get_and_clear_last_exception(w->env, &error);
    napi_fatal_exception(w->env, error);
  }
  napi_close_handle_scope(w->env, scope);
}

// watchDescriptor(fd, ready): on the event loop, waiting for nothing yet.
static napi_value watch_descriptor(napi_env env, napi_callback_info info) {
  napi_value argv[2], name, external;
  size_t argc = 2;
  int32_t fd;
  uv_loop_t *loop;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc != 2 || napi_get_value_int32(env, argv[0], &fd) != napi_ok) return throw_errno(env, "poll", EINVAL);
  watcher *w = calloc(1, sizeof *w);
  if (!w) return throw_errno(env, "poll", ENOMEM);
  w->env = env;
  napi_get_uv_event_loop(env, &loop);
  int failed = uv_poll_init(loop, &w->poll, fd);
  if (failed) {
    free(w);
    return throw_errno(env, "poll", -failed);
  }
  napi_create_reference(env, argv[1], 1, &w->callback);
  napi_create_string_utf8(env, "pageseal:watchDescriptor", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &w->context);
  napi_create_external(env, w, finalize_watcher, NULL, &external);
  return external;
}

static watcher *watcher_of(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv) {
  void *w = NULL;
  napi_get_cb_info(env, info, argc, argv, NULL, NULL);
  if (*argc >= 1 && napi_get_value_external(env, argv[0], &w) == napi_ok) return w;
  throw_errno(env, "poll", EINVAL);
  return NULL;
}

// watchFor(watcher, events): 1 readable, 2 writable, 0 nothing.
static napi_value watch_for(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  size_t argc = 2;
  int32_t events = 0;
  watcher *w = watcher_of(env, info, &argc, argv);
  if (!w || w->ended) return NULL;
  napi_get_value_int32(env, argv[1], &events);
  int failed = events == 0 ? uv_poll_stop(&w->poll) : uv_poll_start(&w->poll, events, on_ready);
  return failed ? throw_errno(env, "poll", -failed) : NULL;
}

// watchEnd(watcher): the descriptor may be closed from now on.
static napi_value watch_end(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  watcher *w = watcher_of(env, info, &argc, argv);
  if (!w || w->ended) return NULL;
  w->ended = true;
  uv_poll_stop(&w->poll);
  napi_delete_reference(env, w->callback);
  napi_async_destroy(env, w->context);
  uv_close((uv_handle_t *)&w->poll, watcher_closed);
  return NULL;
}

static const job_kind kinds[] = {
    {"listen", "sn", run_listen, descriptor_result},
    {"connect", "s", run_connect, descriptor_result},
    {"accept", "n", run_accept, descriptor_result},
    {"getsockopt", "n", run_peer, peer_result},
    {"poll", "nn", run_poll, descriptor_result},
};

void init_socket(napi_env env, napi_value exports) {
  export_job(env, exports, "listenPackets", &kinds[0]);
  export_job(env, exports, "connectPackets", &kinds[1]);
  export_job(env, exports, "acceptPackets", &kinds[2]);
  export_job(env, exports, "peerOf", &kinds[3]);
  export_job(env, exports, "pollNow", &kinds[4]);
  export_function(env, exports, "sendPacket", send_packet);
  export_function(env, exports, "receivePacket", receive_packet);
  export_function(env, exports, "watchDescriptor", watch_descriptor);
  export_function(env, exports, "watchFor", watch_for);
  export_function(env, exports, "watchEnd", watch_end);
}
