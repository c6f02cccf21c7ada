#include "native.h"

void init_inspect(napi_env env, napi_value exports) {
  (void)env;
  (void)exports;
}
