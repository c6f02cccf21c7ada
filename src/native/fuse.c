#include "native.h"

void init_fuse(napi_env env, napi_value exports) {
  (void)env;
  (void)exports;
}
