/*
 * probed: workers that call one function, and can tell which calls came to it by way of a body that
 * keeps registers below the stack pointer, as those of probes do.
 *
 *   --threads N      workers (default 8)
 *   --function NAME  which they call: told (default), or llabs, of the C library
 *   --calls N        how often each worker calls it; 0: until the command "stop" (default 0)
 *   --busy           between two calls, each worker calls a dozen other functions of the C library,
 *                    and checks what they do
 *
 *   told             the absolute value, as llabs; a leaf without a frame, which uses no memory
 *   cost             x + 1: for who measures, with the command "measure N", which calls it N times
 *                    in a row: the counter cost_picos is the shortest of seven runs, per call, once
 *                    the counter "measured" has grown
 *
 * Workers begin at the command "go". Counters of worker I: calls_I; through_I: how many of them came
 * by way of such a body, at the function's entry or at its exit; wrong_I. The counter "stopped" says
 * how many workers have ended.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fixture.h"

enum { RUNS = 7, NUMBERS = 16 };

struct worker {
  counter *calls, *through, *wrong;
  unsigned seed;
};

typedef long long function(long long);

extern function told, cost;
__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".globl told\n"
    ".type told, @function\n"
    "told:\n"
    "  mov %rdi, %rax\n"
    "  neg %rax\n"
    "  cmovs %rdi, %rax\n"
    "  ret\n"
    ".size told, . - told\n"
    ".balign 64\n"
    ".globl cost\n"
    ".type cost, @function\n"
    "cost:\n"
    "  lea 1(%rdi), %rax\n"
    "  nop\n"
    "  ret\n"
    ".size cost, . - cost\n"
    ".balign 64\n"
    ".popsection");

static function *called;
static long limit;
static bool busy;
static volatile bool go, stop;
static counter *stopped, *cost_picos, *measured;

/* Whether the call came by way of a body. The two words are below the stack pointer of the function
 * that is called, where it may write, and does not; no signal comes. */
static bool call(struct worker *self) {
  long long result = 0, first = 0, second, sentinel = 0x5e9714e15e9714e1;
  __asm__ volatile(
      "lea -256(%%rsp), %%rsp\n\t"
      "mov %[sentinel], -72(%%rsp)\n\t"
      "mov %[sentinel], -80(%%rsp)\n\t"
      "call *%[called]\n\t"
      "mov -72(%%rsp), %%rcx\n\t"
      "mov -80(%%rsp), %%rdx\n\t"
      "lea 256(%%rsp), %%rsp"
      : "+a"(result), "+c"(first), "=&d"(second)
      : [called] "r"(called), [sentinel] "r"(sentinel), "D"(-7LL)
      : "cc", "memory");
  if (result != 7) (*self->wrong)++;
  return first != sentinel || second != sentinel;
}

static int ascending(const void *left, const void *right) {
  int a = *(const int *)left, b = *(const int *)right;
  return a < b ? -1 : a > b;
}

static bool work_hard(struct worker *self) {
  int number = rand_r(&self->seed) % 1000000, numbers[NUMBERS];
  char line[64], *end;
  int length = snprintf(line, sizeof line, "number %d of %s", number, "many");
  bool right = (size_t)length == strlen(line) && strtol(strchr(line, ' '), &end, 10) == number;
  char *copy = strdup(line), *rest;
  right &= strcmp(copy, line) == 0 && strcmp(strtok_r(copy, " ", &rest), "number") == 0;
  free(copy);
  for (int i = 0; i < NUMBERS; i++) numbers[i] = rand_r(&self->seed);
  qsort(numbers, NUMBERS, sizeof *numbers, ascending);
  for (int i = 1; i < NUMBERS; i++) right &= numbers[i - 1] <= numbers[i];
  struct timespec now;
  struct tm broken;
  right &= clock_gettime(CLOCK_MONOTONIC, &now) == 0;
  time_t noon = 43200;
  right &= gmtime_r(&noon, &broken) == &broken && broken.tm_hour == 12;
  return right && *end == ' ';
}

static void *work(void *argument) {
  struct worker *self = argument;
  while (!go) {
    struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
  }
  for (long i = 0; limit == 0 ? !stop : i < limit; i++) {
    if (call(self)) (*self->through)++;
    if (busy && !work_hard(self)) (*self->wrong)++;
    (*self->calls)++;
  }
  add(stopped, 1);
  return NULL;
}

static long nanos(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void measure(long count) {
  long best = 0;
  for (int run = 0; run < RUNS; run++) {
    long begun = nanos();
    long long x = 0;
    for (long i = 0; i < count; i++) x = cost(x);
    long taken = nanos() - begun;
    if (x != count) fail("cost returned %lld", x);
    if (run == 0 || taken < best) best = taken;
  }
  *cost_picos = best * 1000 / count;
  (*measured)++;
}

static void command(const char *line) {
  if (strcmp(line, "go") == 0) {
    go = true;
  } else if (strcmp(line, "stop") == 0) {
    stop = true;
  } else if (strncmp(line, "measure ", 8) == 0) {
    measure(strtol(line + 8, NULL, 10));
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 8);
  limit = option_number("--calls", 0);
  busy = option_flag("--busy");
  const char *name = option_text("--function", "told");
  options_done();
  called = strcmp(name, "told") == 0 ? told : strcmp(name, "llabs") == 0 ? llabs : NULL;
  if (called == NULL) fail("no function '%s'", name);
  stopped = new_counter("stopped", 0);
  cost_picos = new_counter("cost_picos", 0);
  measured = new_counter("measured", 0);
  struct worker *workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    new_counter_line();
    workers[i].calls = new_counter("calls_%d", i);
    workers[i].through = new_counter("through_%d", i);
    workers[i].wrong = new_counter("wrong_%d", i);
    workers[i].seed = i;
    start_thread(work, &workers[i]);
  }
  ready();
  serve(command);
}
