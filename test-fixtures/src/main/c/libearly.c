/* libearly.so: the shared object of early, with a constructor that kills the program. */
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) int early_in_library(int argc) {
  if (argc > 0) {
    abort();
  }
  return argc;
}

__attribute__((constructor)) static void constructor(int argc) {
  if (early_in_library(argc) > 100) {
    _exit(103);
  }
}
