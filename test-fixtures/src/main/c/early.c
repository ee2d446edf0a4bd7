/*
 * early: a program that must be patched before it begins. Code that runs before main kills it: a
 * function of the executable's preinit array, one of its constructors, and one of libearly.so's.
 * Where early_in_preinit, early_in_constructor and libearly.so's early_in_library return instead,
 * main writes "main" and exits with what early_result returns, which is 3.
 */
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) int early_in_preinit(int argc) {
  if (argc > 0) {
    abort();
  }
  return argc;
}

__attribute__((noinline)) int early_in_constructor(int argc) {
  if (argc > 0) {
    abort();
  }
  return argc;
}

__attribute__((noinline)) int early_result(int argc) {
  if (argc > 100) {
    abort();
  }
  return argc + 2;
}

static void preinit(int argc) {
  if (early_in_preinit(argc) > 100) {
    _exit(100);
  }
}

__attribute__((section(".preinit_array"), used)) static void (*const preinits[])(int) = {preinit};

__attribute__((constructor)) static void constructor(int argc) {
  if (early_in_constructor(argc) > 100) {
    _exit(101);
  }
}

int main(int argc, char **argv) {
  (void)argv;
  if (write(1, "main\n", 5) != 5) {
    return 102;
  }
  return early_result(argc > 0);
}
