/*
 * plain: workers that call an ordinary C function, whose first bytes hold several instructions, and
 * what it may be replaced by.
 *
 *   --threads N      workers (default 2)
 *   --function NAME  which they call: plain (default), or entered
 *
 *   plain         x + 1, with calls, a frame and memory of its own
 *   entered       x + 1; another function jumps behind its first instruction, of three bytes
 *   repl_2, repl_3, repl_4   x + 2, x + 3, x + 4
 *   around        10 more than what the function at the address of the command "original ADDRESS"
 *                 returns; until then, than repl_2 does
 *
 * The command "hold ADDRESS" starts a thread that has the address on its stack until "release".
 *
 * Counters: originals: commands "original"; held, let_go: how many threads of "hold" have begun, and
 * ended. Of worker I: calls_I; result_01_I to result_15_I: how often the result less x was that;
 * wrong_I: how often it was anything else.
 */
#define _GNU_SOURCE
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

enum { RESULTS = 16 };

struct worker {
  counter *calls, *results[RESULTS], *wrong;
};

static long sum(long *values, long count) {
  long sum = 0;
  for (long i = 0; i < count; i++) sum += values[i];
  return sum;
}

static long (*volatile summer)(long *, long) = sum;

__attribute__((noinline)) long plain(long x) {
  long values[4] = {x, 0, 0, 0};
  long all = summer(values, 4);
  long first = summer(values, 2);
  return all + (first - x) + 1 + values[3] * x;
}

typedef long function(long);

/* As hand-written functions of the C library do. NOPs are between them. */
extern function entered, enterer;
__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".globl enterer\n"
    ".type enterer, @function\n"
    "enterer:\n"
    "  lea 5(%rdi), %rax\n"
    "  jmp .Linside\n"
    ".size enterer, . - enterer\n"
    ".balign 64\n"
    ".globl entered\n"
    ".type entered, @function\n"
    "entered:\n"
    "  mov %rdi, %rax\n"
    ".Linside:\n"
    "  add $1, %rax\n"
    "  ret\n"
    ".size entered, . - entered\n"
    ".balign 64\n"
    ".popsection");

static function *volatile called;
static function *volatile original;

__attribute__((noinline)) long repl_2(long x) { return x + 2; }
__attribute__((noinline)) long repl_3(long x) { return x + 3; }
__attribute__((noinline)) long repl_4(long x) { return x + 4; }
__attribute__((noinline)) long around(long x) { return original(x) + 10; }

static void *work(void *argument) {
  struct worker *self = argument;
  for (long x = 0;; x++) {
    unsigned long more = called(x) - x;
    if (called == entered && enterer(x) != x + 6) (*self->wrong)++;
    (*(more > 0 && more < RESULTS ? self->results[more] : self->wrong))++;
    (*self->calls)++;
  }
  return NULL;
}

static sem_t released;
static volatile long holding;
static counter *originals, *held, *let_go;

static void *hold(void *unused) {
  volatile long word = holding;
  (*held)++;
  while (sem_wait(&released) != 0) continue;
  if (word == 0) fail("nothing was held");
  word = 0;
  (*let_go)++;
  return unused;
}

static void command(const char *line) {
  if (strncmp(line, "original ", 9) == 0) {
    original = (function *)strtoul(line + 9, NULL, 16);
    (*originals)++;
  } else if (strncmp(line, "hold ", 5) == 0) {
    holding = strtol(line + 5, NULL, 16);
    start_thread(hold, NULL);
  } else if (strcmp(line, "release") == 0) {
    sem_post(&released);
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 2);
  const char *name = option_text("--function", "plain");
  options_done();
  called = strcmp(name, "plain") == 0 ? plain : strcmp(name, "entered") == 0 ? entered : NULL;
  if (called == NULL) fail("no function '%s'", name);
  original = repl_2;
  originals = new_counter("originals", 0);
  held = new_counter("held", 0);
  let_go = new_counter("let_go", 0);
  publish("plain", plain);
  publish("entered", entered);
  publish("repl_2", repl_2);
  publish("repl_3", repl_3);
  publish("repl_4", repl_4);
  publish("around", around);
  struct worker *workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    new_counter_line();
    workers[i].calls = new_counter("calls_%d", i);
    workers[i].wrong = new_counter("wrong_%d", i);
    for (int result = 1; result < RESULTS; result++) {
      char name[32] = "result_";
      name[7] = '0' + result / 10;
      name[8] = '0' + result % 10;
      memcpy(name + 9, "_%d", 4);
      workers[i].results[result] = new_counter(name, i);
    }
    start_thread(work, &workers[i]);
  }
  for (int i = 0; i < threads; i++) {
    struct tally tally = {.calls = workers[i].calls};
    await_first_call(&tally);
  }
  ready();
  serve(command);
}
