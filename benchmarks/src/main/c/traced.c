/*
 * traced: what a call of a function takes, in picoseconds: traced CALLS. For a tracer that patches
 * the five bytes of no-operations at the function's entry when the program starts.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 7 };

__attribute__((noinline, noclone, patchable_function_entry(5))) long cost(long x) {
  __asm__ volatile("" ::: "memory");
  return x + 1;
}

static long nanos(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000L + now.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  long count = strtol(argv[1], NULL, 10), best = 0;
  for (int run = 0; run < RUNS; run++) {
    long begun = nanos(), x = 0;
    for (long i = 0; i < count; i++) x = cost(x);
    long taken = nanos() - begun;
    if (x != count) return 1;
    if (run == 0 || taken < best) best = taken;
  }
  printf("picos %ld\n", best * 1000 / count);
  return 0;
}
