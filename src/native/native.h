// Shared by the addon's files. Each file is thin system calls with no policy and registers its functions on `exports`.
#ifndef PAGESEAL_NATIVE_H
#define PAGESEAL_NATIVE_H
#define NAPI_VERSION 8
#include <node_api.h>

napi_value throw_errno(napi_env env, const char *call, int err);
void export_function(napi_env env, napi_value exports, const char *name, napi_callback fn);

void init_fuse(napi_env env, napi_value exports);
void init_mount(napi_env env, napi_value exports);
void init_fd(napi_env env, napi_value exports);
void init_process(napi_env env, napi_value exports);
void init_inspect(napi_env env, napi_value exports);
#endif
