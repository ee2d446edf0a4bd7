/*
 * early_new.so: what early's functions are replaced by before it begins. It needs a function of the
 * C library and one of libearly.so, and addresses of its own data.
 *
 *   new_in_preinit, new_in_constructor, new_in_library   return, and note that they have run
 *   new_result    40, and how often these have run, itself calling early_in_library once
 */
#include <string.h>

extern int early_in_library(int argc);

static const char *const names[] = {"preinit", "constructor", "library"};
static int runs[3];
static int *const places[] = {&runs[0], &runs[1], &runs[2]};

__attribute__((noinline)) static int note(const char *volatile name) {
  for (int i = 0; i < 3; i++) {
    if (strcmp(names[i], name) == 0) (*places[i])++;
  }
  return 0;
}

int new_in_preinit(int argc) { return argc + note("preinit") - argc; }
int new_in_constructor(int argc) { return argc + note("constructor") - argc; }
int new_in_library(int argc) { return argc + note("library") - argc; }

int new_result(int argc) {
  /* That is replaced too, so it does not abort. */
  return early_in_library(argc) + 40 + *places[0] + *places[1] + *places[2];
}
