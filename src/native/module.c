// Registers the addon's functions; errors become Error objects with `code` (errno name) and `syscall`, as Node's own.
#include "native.h"
#include <stdio.h>
#include <string.h>
#include <uv.h>

napi_value make_errno(napi_env env, const char *call, int err) {
  char text[160];
  snprintf(text, sizeof text, "%s: %s", call, strerror(err));
  napi_value message, code, error, syscall;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message);
  napi_create_string_utf8(env, uv_err_name(uv_translate_sys_error(err)), NAPI_AUTO_LENGTH, &code);
  napi_create_error(env, code, message, &error);
  napi_create_string_utf8(env, call, NAPI_AUTO_LENGTH, &syscall);
  napi_set_named_property(env, error, "syscall", syscall);
  return error;
}

napi_value throw_errno(napi_env env, const char *call, int err) {
  napi_throw(env, make_errno(env, call, err));
  return NULL;
}

void export_function(napi_env env, napi_value exports, const char *name, napi_callback fn) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, fn, NULL, &value);
  napi_set_named_property(env, exports, name, value);
}

static napi_value init(napi_env env, napi_value exports) {
  init_fuse(env, exports);
  init_mount(env, exports);
  init_fd(env, exports);
  init_process(env, exports);
  init_spawn(env, exports);
  init_inspect(env, exports);
  init_file(env, exports);
  init_socket(env, exports);
  return exports;
}

NAPI_MODULE(NODE_GYP_MODULE_NAME, init)
