#include "native.h"

void init_mount(napi_env env, napi_value exports) {
  (void)env;
  (void)exports;
}
