// The channel over a /dev/fuse descriptor: reads what waits into one slab, hands it over in batches, writes replies.
// Decides nothing: how long to poll before sleeping and when to stop reading come from outside through `control`.
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

// Words of `control`, shared with fuse/session.ts.
enum { IN_FLIGHT, SPIN_MICROS, CONTROL_WORDS };
// Kernel requests start on 8 bytes, as their 64-bit fields want.
#define ALIGN(n) (((n) + 7u) & ~(size_t)7u)
// Rounds of one wake before the loop's other handles get their turn.
#define ROUNDS 8
// The same for polling that keeps hitting.
#define SPIN_TURN_NS 1000000u
// Pieces of one reply (1 MiB in 4 KiB pieces); the caller joins longer ones.
#define MAX_PIECES 256
#define HANDLES 3

struct out_header {
  uint32_t len;
  int32_t error;
  uint32_t low, high;
};

typedef struct {
  napi_env env;
  napi_async_context context;
  napi_ref on_batch, on_end, slab_ref, table_ref, control_ref;
  uv_poll_t poll;
  uv_prepare_t before_sleep;
  uv_idle_t stay_awake;
  int fd;
  int open_handles;
  bool reading, closing, finalized, replied;
  uint8_t *slab;
  size_t slab_size, largest;
  uint32_t *table;
  uint32_t table_size;
  const int32_t *control;
  uint64_t idle_since;
} channel;

static void on_closed(uv_handle_t *handle) {
  channel *ch = handle->data;
  if (--ch->open_handles == 0 && ch->finalized) free(ch);
}

static void stop_reading(channel *ch) {
  ch->reading = false;
  uv_poll_stop(&ch->poll);
  uv_prepare_stop(&ch->before_sleep);
  uv_idle_stop(&ch->stay_awake);
}

static void call(channel *ch, napi_ref which, size_t argc, napi_value *argv) {
  napi_value fn, receiver;
  napi_get_reference_value(ch->env, which, &fn);
  napi_get_global(ch->env, &receiver);
  if (napi_make_callback(ch->env, ch->context, receiver, fn, argc, argv, NULL) != napi_pending_exception) return;
  napi_value error;
  napi_get_and_clear_last_exception(ch->env, &error);
  napi_fatal_exception(ch->env, error);
}

static void end(channel *ch, int err) {
  napi_handle_scope scope;
  napi_value argument;
  stop_reading(ch);
  napi_open_handle_scope(ch->env, &scope);
  napi_create_int32(ch->env, err, &argument);
  call(ch, ch->on_end, 1, &argument);
  napi_close_handle_scope(ch->env, scope);
}

// Reads until nothing waits (EAGAIN), slab or table is full (0), or the connection is gone (its errno).
static int fill(channel *ch, uint32_t *count) {
  size_t used = 0;
  *count = 0;
  while (*count < ch->table_size && used + ch->largest <= ch->slab_size) {
    ssize_t n = read(ch->fd, ch->slab + used, ch->largest);
    if (n < 0) {
      // ENOENT: the request was interrupted while it was being read; the next one may be there.
      if (errno == EINTR || errno == ENOENT) continue;
      return errno;
    }
    ch->table[*count * 2] = (uint32_t)used;
    ch->table[*count * 2 + 1] = (uint32_t)n;
    (*count)++;
    used += ALIGN((size_t)n);
  }
  return 0;
}

static void deliver(channel *ch, uint32_t count) {
  napi_handle_scope scope;
  napi_value argv[2];
  uint64_t idle = uv_hrtime() - ch->idle_since;
  napi_open_handle_scope(ch->env, &scope);
  napi_create_uint32(ch->env, count, &argv[0]);
  napi_create_double(ch->env, (double)idle / 1000.0, &argv[1]);
  call(ch, ch->on_batch, 2, argv);
  napi_close_handle_scope(ch->env, scope);
}

static void on_readable(uv_poll_t *handle, int status, int events) {
  (void)status; // POLLERR is how unmounting shows; the read says what it was
  (void)events;
  channel *ch = handle->data;
  for (int round = 0; round < ROUNDS && ch->reading; round++) {
    uint32_t count;
    int err = fill(ch, &count);
    if (count) deliver(ch, count);
    if (err == EAGAIN) return;
    if (err && ch->reading) return end(ch, err);
  }
}

static bool may_spin(channel *ch) {
  return ch->reading && ch->replied && ch->control[IN_FLIGHT] == 0 && ch->control[SPIN_MICROS] > 0 &&
         uv_backend_timeout(ch->poll.loop) != 0;
}

// Its being active keeps the loop from sleeping for one turn.
static void on_awake(uv_idle_t *handle) { uv_idle_stop(handle); }

// Runs when the loop is about to sleep. A sleep and its wake cost more than most requests, so for a moment look instead.
static void on_before_sleep(uv_prepare_t *handle) {
  channel *ch = handle->data;
  uint64_t started = uv_hrtime();
  while (may_spin(ch)) {
    uint32_t count;
    uint64_t until = uv_hrtime() + (uint64_t)ch->control[SPIN_MICROS] * 1000u;
    ch->replied = false;
    int err = fill(ch, &count);
    while (err == EAGAIN && count == 0 && uv_hrtime() < until) err = fill(ch, &count);
    if (count) deliver(ch, count);
    if (err && err != EAGAIN && ch->reading) return end(ch, err);
    if (count && uv_hrtime() - started > SPIN_TURN_NS && ch->reading) {
      uv_idle_start(&ch->stay_awake, on_awake);
      return;
    }
  }
}

static channel *channel_of(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv) {
  void *ch = NULL;
  napi_get_cb_info(env, info, argc, argv, NULL, NULL);
  if (*argc < 1 || napi_get_value_external(env, argv[0], &ch) != napi_ok) {
    throw_errno(env, "fuse channel", EINVAL);
    return NULL;
  }
  return ch;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  channel *ch = data;
  ch->finalized = true;
  if (ch->open_handles == 0) free(ch);
}

static bool take_buffers(napi_env env, channel *ch, napi_value *argv) {
  napi_typedarray_type type;
  size_t length;
  void *data;
  if (napi_get_buffer_info(env, argv[1], (void **)&ch->slab, &ch->slab_size) != napi_ok) return false;
  if (napi_get_typedarray_info(env, argv[2], &type, &length, &data, NULL, NULL) != napi_ok) return false;
  if (type != napi_uint32_array) return false;
  ch->table = data;
  ch->table_size = (uint32_t)(length / 2);
  if (napi_get_typedarray_info(env, argv[3], &type, &length, &data, NULL, NULL) != napi_ok) return false;
  if (type != napi_int32_array || length < CONTROL_WORDS) return false;
  ch->control = data;
  return ch->table_size > 0 && ch->largest > 0 && ch->largest <= ch->slab_size;
}

// fuseOpen(descriptor, slab, table, control, largest, onBatch, onEnd)
static napi_value fuse_open(napi_env env, napi_callback_info info) {
  napi_value argv[7], name, external;
  size_t argc = 7;
  uint32_t largest = 0;
  uv_loop_t *loop;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  channel *ch = calloc(1, sizeof *ch);
  if (!ch) return throw_errno(env, "fuse channel", ENOMEM);
  ch->env = env;
  bool good = argc == 7 && napi_get_value_int32(env, argv[0], &ch->fd) == napi_ok &&
              napi_get_value_uint32(env, argv[4], &largest) == napi_ok;
  ch->largest = largest;
  if (!good || !take_buffers(env, ch, argv)) {
    free(ch);
    return throw_errno(env, "fuse channel", EINVAL);
  }
  int flags = fcntl(ch->fd, F_GETFL);
  int err = flags < 0 || fcntl(ch->fd, F_SETFL, flags | O_NONBLOCK) < 0 ? errno : 0;
  napi_get_uv_event_loop(env, &loop);
  if (!err) err = -uv_poll_init(loop, &ch->poll, ch->fd);
  if (err) {
    free(ch);
    return throw_errno(env, "fuse channel", err);
  }
  uv_prepare_init(loop, &ch->before_sleep);
  uv_idle_init(loop, &ch->stay_awake);
  uv_unref((uv_handle_t *)&ch->before_sleep);
  uv_unref((uv_handle_t *)&ch->stay_awake);
  ch->poll.data = ch->before_sleep.data = ch->stay_awake.data = ch;
  ch->open_handles = HANDLES;
  napi_create_string_utf8(env, "fuse", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &ch->context);
  napi_create_reference(env, argv[1], 1, &ch->slab_ref);
  napi_create_reference(env, argv[2], 1, &ch->table_ref);
  napi_create_reference(env, argv[3], 1, &ch->control_ref);
  napi_create_reference(env, argv[5], 1, &ch->on_batch);
  napi_create_reference(env, argv[6], 1, &ch->on_end);
  napi_create_external(env, ch, finalize, NULL, &external);
  return external;
}

// fuseRead(channel, on): starts or stops reading.
static napi_value fuse_read(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  size_t argc = 2;
  bool on = false;
  channel *ch = channel_of(env, info, &argc, argv);
  if (!ch) return NULL;
  napi_get_value_bool(env, argv[1], &on);
  if (ch->closing || on == ch->reading) return NULL;
  if (!on) {
    stop_reading(ch);
    return NULL;
  }
  int err = -uv_poll_start(&ch->poll, UV_READABLE, on_readable);
  if (err) return throw_errno(env, "fuse channel", err);
  uv_prepare_start(&ch->before_sleep, on_before_sleep);
  ch->reading = true;
  return NULL;
}

// fuseClose(channel): lets go of loop and buffers; the descriptor stays its owner's.
static napi_value fuse_close(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  channel *ch = channel_of(env, info, &argc, argv);
  if (!ch || ch->closing) return NULL;
  stop_reading(ch);
  ch->closing = true;
  // A late reply must not go to whatever gets the number next.
  ch->fd = -1;
  uv_close((uv_handle_t *)&ch->poll, on_closed);
  uv_close((uv_handle_t *)&ch->before_sleep, on_closed);
  uv_close((uv_handle_t *)&ch->stay_awake, on_closed);
  napi_ref refs[] = {ch->slab_ref, ch->table_ref, ch->control_ref, ch->on_batch, ch->on_end};
  for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) napi_delete_reference(env, refs[i]);
  napi_async_destroy(env, ch->context);
  return NULL;
}

static int add_piece(napi_env env, napi_value value, struct iovec *vec, size_t *total) {
  void *data;
  size_t length;
  if (napi_get_buffer_info(env, value, &data, &length) != napi_ok) return EINVAL;
  vec->iov_base = data;
  vec->iov_len = length;
  *total += length;
  return 0;
}

static int gather(napi_env env, napi_value body, struct iovec *vec, int *used, size_t *total) {
  bool is_array = false;
  uint32_t length = 0;
  napi_is_array(env, body, &is_array);
  if (!is_array) return add_piece(env, body, &vec[(*used)++], total);
  napi_get_array_length(env, body, &length);
  if (length > MAX_PIECES) return E2BIG;
  for (uint32_t i = 0; i < length; i++) {
    napi_value piece;
    napi_get_element(env, body, i, &piece);
    int err = add_piece(env, piece, &vec[(*used)++], total);
    if (err) return err;
  }
  return 0;
}

// fuseReply(channel, low, high, error, body?): one writev; answers 0 or the errno.
static napi_value fuse_reply(napi_env env, napi_callback_info info) {
  napi_value argv[5], result;
  size_t argc = 5, total = sizeof(struct out_header);
  struct iovec vec[MAX_PIECES + 1];
  struct out_header header = {0};
  napi_valuetype type = napi_undefined;
  int used = 1, err = 0;
  channel *ch = channel_of(env, info, &argc, argv);
  if (!ch) return NULL;
  napi_get_value_uint32(env, argv[1], &header.low);
  napi_get_value_uint32(env, argv[2], &header.high);
  napi_get_value_int32(env, argv[3], &header.error);
  if (argc > 4) napi_typeof(env, argv[4], &type);
  if (type != napi_undefined) err = gather(env, argv[4], vec, &used, &total);
  if (!err) {
    header.len = (uint32_t)total;
    vec[0].iov_base = &header;
    vec[0].iov_len = sizeof header;
    ssize_t n;
    do n = writev(ch->fd, vec, used);
    while (n < 0 && errno == EINTR);
    err = n < 0 ? errno : 0;
  }
  ch->replied = true;
  ch->idle_since = uv_hrtime();
  napi_create_int32(env, err, &result);
  return result;
}

void init_fuse(napi_env env, napi_value exports) {
  export_function(env, exports, "fuseOpen", fuse_open);
  export_function(env, exports, "fuseRead", fuse_read);
  export_function(env, exports, "fuseClose", fuse_close);
  export_function(env, exports, "fuseReply", fuse_reply);
}
