/* libcounted.so: the shared object of counted, with a constructor that calls a function of it. */
#include <stdlib.h>

static long calls;

/* What it is for: a program whose calls of malloc begin before main. */
static void *volatile kept;

__attribute__((noinline, aligned(1024))) int in_library(int x) {
  calls++;
  return x + 1;
}

long library_calls(void) { return calls; }

__attribute__((constructor)) static void constructor(void) {
  for (int i = 0; i < 7; i++) {
    kept = malloc(100 + in_library(i));
  }
}
