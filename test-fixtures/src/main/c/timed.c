/*
 * timed: workers that call functions of many kinds, check what they return, and count the calls and
 * the returns.
 *
 *   --threads N  workers (default 8)
 *   --calls N    how many rounds each worker makes; 0: until the command "stop" (default 0)
 *   --leave      a part of the calls of "passes" is left by longjmp, and of "catches" by an exception
 *   --alarms N   a signal comes to each worker every N microseconds, whose handler calls "leaf",
 *                "branchy", "recurse" and "real", too
 *   --stacks     every other worker has a stack of its own for that
 *
 * Workers begin at the command "go"; "sleep N" has the main thread call "sleeps" once for so many
 * microseconds: asleep is counted inside of it, and slept behind it; "measure N NAME" calls cost, pushes or padded N times in a row:
 * cost_picos is the shortest of seven runs, per call, once measured has grown. The three return x + 1,
 * and tell what begins a function: cost an instruction that the kernel has to step, pushes one that it
 * can do by itself, and padded a no-operation of five bytes.
 *
 * Counters: NAME for each function, how often it was called, and NAME_returned; wrong; signals;
 * rounds; stopped, how many workers have ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "timed.h"

enum { RUNS = 7, DEPTH = 8, STACK = 64 * 1024 };

struct longs { long a, b; };
struct doubles { double a, b; };
struct mixed { long a; double b; };
struct big { long words[6]; };

static const char *const names[] = {"leaf",    "branchy", "tail",  "recurse", "through", "switches",
                                    "real",    "single",  "longs", "doubles", "mixed",   "big",
                                    "extended", "passes", "catches", "sleeps"};
enum { LEAF, BRANCHY, TAIL, RECURSE, THROUGH, SWITCHES, REAL, SINGLE, LONGS, DOUBLES, MIXED, BIG,
       EXTENDED, PASSES, CATCHES, SLEEPS, FUNCTIONS };

static counter *called[FUNCTIONS], *returned[FUNCTIONS];
static counter *wrong, *signals, *rounds, *stopped, *asleep, *slept, *cost_picos, *measured;
static long limit, alarms;
static bool leave, stacks;
static volatile bool go, stop;
static _Thread_local jmp_buf back;

#define PROBED __attribute__((noinline, noclone, used)) extern

/* A loop that a compiler does not see the end of. */
volatile long zero;

extern long leaf(long x), cost(long x), pushes(long x), padded(long x);
__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".globl leaf\n"
    ".type leaf, @function\n"
    "leaf:\n"
    "  lea 1(%rdi), %rax\n"
    "  ret\n"
    ".size leaf, . - leaf\n"
    ".balign 64\n"
    ".globl cost\n"
    ".type cost, @function\n"
    "cost:\n"
    "  lea 1(%rdi), %rax\n"
    "  nop\n"
    "  ret\n"
    ".size cost, . - cost\n"
    ".balign 64\n"
    ".globl pushes\n"
    ".type pushes, @function\n"
    "pushes:\n"
    "  push %rbp\n"
    "  mov %rsp, %rbp\n"
    "  mov %rdi, %rax\n"
    "  add $1, %rax\n"
    "  pop %rbp\n"
    "  ret\n"
    ".size pushes, . - pushes\n"
    ".balign 64\n"
    ".globl padded\n"
    ".type padded, @function\n"
    "padded:\n"
    "  .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
    "  lea 1(%rdi), %rax\n"
    "  ret\n"
    ".size padded, . - padded\n"
    ".balign 64\n"
    ".popsection");

PROBED long branchy(long x);
long branchy(long x) {
  if (x < 10) return x + zero;
  if (x % 3 == 0) return leaf(x) * 2;
  for (long i = zero; i < 3; i++) x ^= x << 7;
  if (x & 1) return -x;
  return x;
}
static long branchy_is(long x) {
  if (x < 10) return x;
  if (x % 3 == 0) return (x + 1) * 2;
  for (int i = 0; i < 3; i++) x ^= x << 7;
  return x & 1 ? -x : x;
}

/* Jumps to branchy or leaf, on a condition. */
PROBED long tail(long x);
long tail(long x) { return x & 1 ? branchy(x) : leaf(x + 1); }

typedef long function(long);
PROBED long recurse(long n);
static function *volatile again = recurse;
long recurse(long n) { return n <= 0 ? zero : n + again(n - 1); }

/* Jumps through a pointer. */
static function *volatile pointed = leaf;
PROBED long through(long x);
long through(long x) { return pointed(x + 2); }

PROBED long switches(long x);
long switches(long x) {
  switch (x & 7) {
    case 0: return leaf(x) + zero;
    case 1: zero = 0; return x * 3;
    case 2: return x ^ leaf(5);
    case 3: return -x;
    case 4: return x / (zero + 7);
    case 5: return x << 2;
    case 6: return leaf(-x);
    default: return x % (zero + 11);
  }
}
static long switches_is(long x) {
  switch (x & 7) {
    case 0: return x + 1;
    case 1: return x * 3;
    case 2: return x ^ 6;
    case 3: return -x;
    case 4: return x / 7;
    case 5: return x << 2;
    case 6: return 1 - x;
    default: return x % 11;
  }
}

PROBED double real(double x, double y);
double real(double x, double y) { return x < 0 ? y - x : x * y + zero; }
PROBED float single(float x);
float single(float x) { return x < 1 ? x : x / 3 + zero; }
PROBED struct longs two_longs(long x) __asm__("longs");
struct longs two_longs(long x) {
  return x & 1 ? (struct longs){x, ~x} : (struct longs){leaf(x), x};
}
PROBED struct doubles two_doubles(double x) __asm__("doubles");
struct doubles two_doubles(double x) { return (struct doubles){x + zero, -x * 2}; }
PROBED struct mixed both(long x) __asm__("mixed");
struct mixed both(long x) { return (struct mixed){leaf(x), x / 4.0}; }
PROBED struct big in_memory(long x) __asm__("big");
struct big in_memory(long x) {
  struct big big;
  for (int i = 0; i < 6; i++) big.words[i] = x + i + zero;
  return big;
}
PROBED long double extended(long x);
long double extended(long x) { return x > 100 ? x / 3.0L : x * 2 + zero; }

PROBED long passes(long x, bool away);
PROBED long jumps(long x, bool away);
long jumps(long x, bool away) {
  if (away) longjmp(back, 1);
  return x + zero;
}
long passes(long x, bool away) { return jumps(x, away) + leaf(x); }

PROBED void sleeps(long micros);
void sleeps(long micros) {
  add(asleep, 1);
  struct timespec left = {.tv_sec = micros / 1000000, .tv_nsec = micros % 1000000 * 1000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

#define CALL(index, expression, expected)         \
  do {                                            \
    add(called[index], 1);                        \
    bool right = (expression) == (expected);      \
    add(returned[index], 1);                      \
    if (!right) add(wrong, 1);                    \
  } while (0)

/* How often x makes a call of a function call leaf, and branchy. */
static void count_inner(long x, int index) {
  long leaves = 0, branches = 0;
  switch (index) {
    case BRANCHY: leaves = x >= 10 && x % 3 == 0; break;
    case TAIL:
      leaves = x & 1 ? x >= 10 && x % 3 == 0 : 1;
      branches = x & 1;
      break;
    case THROUGH: leaves = 1; break;
    case SWITCHES: leaves = (x & 7) == 0 || (x & 7) == 2 || (x & 7) == 6; break;
    case LONGS: leaves = !(x & 1); break;
    case MIXED: leaves = 1; break;
    default: break;
  }
  add(called[LEAF], leaves);
  add(returned[LEAF], leaves);
  add(called[BRANCHY], branches);
  add(returned[BRANCHY], branches);
}

static void on_alarm(int number) {
  (void)number;
  int saved = errno;
  long x = (long)*rounds & 1023;
  add(signals, 1);
  CALL(LEAF, leaf(x), x + 1);
  CALL(BRANCHY, branchy(x), branchy_is(x));
  count_inner(x, BRANCHY);
  CALL(RECURSE, recurse(2), 3);
  add(called[RECURSE], 2);
  add(returned[RECURSE], 2);
  CALL(REAL, real(x, 2), x * 2.0);
  errno = saved;
}

static void start_alarms(int index) {
  if (stacks && index % 2 == 0) {
    stack_t stack = {.ss_sp = malloc(STACK), .ss_size = STACK};
    if (sigaltstack(&stack, NULL)) fail("sigaltstack");
  }
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
  event._sigev_un._tid = gettid();
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer)) fail("timer_create");
  struct itimerspec every = {{0, alarms * 1000}, {0, (alarms + index * 7) * 1000}};
  if (timer_settime(timer, 0, &every, NULL)) fail("timer_settime");
}

static void make_round(unsigned *seed) {
  long x = rand_r(seed) % 4096;
  CALL(LEAF, leaf(x), x + 1);
  CALL(BRANCHY, branchy(x), branchy_is(x));
  count_inner(x, BRANCHY);
  CALL(TAIL, tail(x), x & 1 ? branchy_is(x) : x + 2);
  count_inner(x, TAIL);
  CALL(RECURSE, recurse(DEPTH), DEPTH * (DEPTH + 1) / 2);
  add(called[RECURSE], DEPTH);
  add(returned[RECURSE], DEPTH);
  CALL(THROUGH, through(x), x + 3);
  count_inner(x, THROUGH);
  CALL(SWITCHES, switches(x), switches_is(x));
  count_inner(x, SWITCHES);
  CALL(REAL, real(x, 0.5), x * 0.5);
  CALL(REAL, real(-x - 1.0, 0.5), x + 1.5);
  CALL(SINGLE, single(x), x < 1 ? x : (float)x / 3);
  struct longs longs;
  CALL(LONGS, (longs = two_longs(x)).a == (x & 1 ? x : x + 1) && longs.b == (x & 1 ? ~x : x), true);
  count_inner(x, LONGS);
  struct doubles doubles;
  CALL(DOUBLES, (doubles = two_doubles(x)).a == x && doubles.b == x * -2.0, true);
  struct mixed mixed;
  CALL(MIXED, (mixed = both(x)).a == x + 1 && mixed.b == x / 4.0, true);
  count_inner(x, MIXED);
  struct big big;
  CALL(BIG, (big = in_memory(x)).words[0] == x && big.words[5] == x + 5, true);
  CALL(EXTENDED, extended(x), x > 100 ? x / 3.0L : x * 2);
  add(called[PASSES], 1);
  if (setjmp(back) == 0) {
    if (passes(x, leave && (x & 1)) != 2 * x + 1) add(wrong, 1);
    add(returned[PASSES], 1);
    add(called[LEAF], 1);
    add(returned[LEAF], 1);
  }
  bool thrown = leave && (x & 2);
  add(called[CATCHES], 1);
  long caught = calls_and_catches(x, thrown);
  if (caught != (thrown ? -x : x + 1)) add(wrong, 1);
  if (!thrown) add(returned[CATCHES], 1);
  add(rounds, 1);
}

struct worker {
  int index;
};

static void *work(void *argument) {
  struct worker *self = argument;
  unsigned seed = self->index + 1;
  while (!go) {
    struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
  }
  if (alarms > 0) start_alarms(self->index);
  for (long i = 0; limit == 0 ? !stop : i < limit; i++) make_round(&seed);
  if (alarms > 0) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
  }
  add(stopped, 1);
  return NULL;
}

static long nanos(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void measure(long count, const char *name) {
  function *measured_one = strcmp(name, "cost") == 0     ? cost
                           : strcmp(name, "pushes") == 0 ? pushes
                           : strcmp(name, "padded") == 0 ? padded
                                                         : NULL;
  if (measured_one == NULL) fail("no function '%s'", name);
  long best = 0;
  for (int run = 0; run < RUNS; run++) {
    long begun = nanos();
    long x = 0;
    for (long i = 0; i < count; i++) x = measured_one(x);
    long taken = nanos() - begun;
    if (x != count) fail("%s returned %ld", name, x);
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
  } else if (strncmp(line, "sleep ", 6) == 0) {
    add(called[SLEEPS], 1);
    sleeps(strtol(line + 6, NULL, 10));
    add(returned[SLEEPS], 1);
    add(slept, 1);
  } else if (strncmp(line, "measure ", 8) == 0) {
    char *name;
    long count = strtol(line + 8, &name, 10);
    measure(count, *name == ' ' ? name + 1 : name);
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 8);
  limit = option_number("--calls", 0);
  leave = option_flag("--leave");
  stacks = option_flag("--stacks");
  alarms = option_number("--alarms", 0);
  options_done();
  for (int i = 0; i < FUNCTIONS; i++) {
    char name[64] = "";
    new_counter_line();
    called[i] = new_counter(strdup(names[i]), 0);
    new_counter_line();
    returned[i] = new_counter(strdup(strcat(strcpy(name, names[i]), "_returned")), 0);
  }
  wrong = new_counter("wrong", 0);
  signals = new_counter("signals", 0);
  rounds = new_counter("rounds", 0);
  stopped = new_counter("stopped", 0);
  asleep = new_counter("asleep", 0);
  slept = new_counter("slept", 0);
  cost_picos = new_counter("cost_picos", 0);
  measured = new_counter("measured", 0);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct worker *workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    workers[i].index = i;
    start_thread(work, &workers[i]);
  }
  ready();
  serve(command);
}
