// The image's command, where no shell is: runs the program by the pinned Node, with the flags that bin/pageseal gives it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOME "/opt/pageseal"

static const char *const flags[] = {"--disable-sigusr1", "--disable-warning=ExperimentalWarning", HOME "/dist/main.js"};
#define FLAGS (sizeof flags / sizeof *flags)

int main(int count, char **given) {
  const char *const node = HOME "/bin/node";
  const char **args = calloc((size_t)count + FLAGS + 2, sizeof *args);
  if (args == NULL) {
    perror("pageseal");
    return 1;
  }
  args[0] = node;
  memcpy(&args[1], flags, sizeof flags);
  for (int i = 1; i < count; i++) args[FLAGS + (size_t)i] = given[i];
  // What it preloads or opens has no place in a process that holds keys; nor has the inspector (--disable-sigusr1).
  unsetenv("NODE_OPTIONS");
  execv(node, (char *const *)args);
  perror("pageseal: " HOME "/bin/node");
  return 127;
}
