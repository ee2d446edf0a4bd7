/*
 * profiled: a program that samples itself, as profilers within a process do: a timer for each
 * thread sends SIGPROF, and its handler unwinds by .eh_frame with backtrace(), and by frame pointers.
 *
 *   --threads N      (default 2)
 *   --function NAME  which function root calls by way of caller: hot (default), an ordinary C
 *                    function with a frame that calls another; or slow, whose first five bytes take
 *                    most of its time
 *
 * Commands: "maps" reads where code of ours lies, from /proc/self/maps; then "sample MICROSECONDS"
 * starts the timers, and 0 stops them; idle counts how often they were stopped and no handler ran any
 * more. "step N" has worker 0 go on by single steps, each of them a
 * sample, so that samples fall on each instruction that it runs.
 *
 * A sample is right if its trace leads to root, and through caller unless root itself was
 * interrupted. Counters, timed_NAME and stepped_NAME:
 *   samples         all of them; counted when the others are
 *   ours            the instruction interrupted is one of ours
 *   ours_unwound    of those, right by .eh_frame
 *   ours_framed     of those, led to root's caller by frame pointers
 *   ours_at_top     of those, the word at rsp, or the one above it, is the address in caller
 *   below_ours      another instruction was interrupted, and the trace ends in code of ours
 *   lost            not right by .eh_frame, and the trace ends elsewhere; lost_at is the address
 *   lost_framed     does not lead to root's caller by frame pointers, wherever it was
 * Of the workers: calls_I; wrong_I; returned_I: the result was -1.
 */
#define _GNU_SOURCE
#include <execinfo.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

enum { DEPTH = 64, RANGES = 256, TRAP_FLAG = 0x100 };

struct range {
  uintptr_t start, end;
};

struct samples {
  counter *samples, *ours, *ours_unwound, *ours_framed, *ours_at_top, *below_ours;
  counter *lost, *lost_at, *lost_framed;
};

struct worker {
  counter *calls, *returned, *wrong;
  pthread_t thread;
  timer_t timer;
  bool in_handler; /* of SIGPROF */
  volatile pid_t id;
  uintptr_t low, high; /* of its stack, as far as root's frames may be */
};

static _Thread_local struct worker *self;
static struct worker *workers;
static struct samples timed, stepped;
static struct range ours[RANGES];
static volatile int our_count;
static volatile long steps;
static volatile bool begun;
static bool sampling;
static counter *idle;

/* The linker names the bounds of sections whose names are C identifiers. */
extern const char __start_section_of_root[], __stop_section_of_root[];
extern const char __start_section_of_base[], __stop_section_of_base[];
extern const char __start_section_of_caller[], __stop_section_of_caller[];

static bool in_root(uintptr_t a) {
  return a - (uintptr_t)__start_section_of_root <
         (size_t)(__stop_section_of_root - __start_section_of_root);
}

static bool in_caller(uintptr_t a) {
  return a - (uintptr_t)__start_section_of_caller <
         (size_t)(__stop_section_of_caller - __start_section_of_caller);
}

static bool in_base(uintptr_t a) {
  return a - (uintptr_t)__start_section_of_base <
         (size_t)(__stop_section_of_base - __start_section_of_base);
}

static bool in_ours(uintptr_t a) {
  for (int i = 0; i < our_count; i++) {
    if (a - ours[i].start < ours[i].end - ours[i].start) return true;
  }
  return false;
}

static bool framed(const ucontext_t *at) {
  uintptr_t frame = at->uc_mcontext.gregs[REG_RBP];
  for (int i = 0; i < DEPTH && frame >= self->low && frame < self->high && frame % 8 == 0; i++) {
    const uintptr_t *words = (const uintptr_t *)frame;
    if (in_base(words[1] - 1)) return true; /* what never returns may be called last */
    frame = words[0];
  }
  return false;
}

static void take(const ucontext_t *at, const struct samples *to) {
  uintptr_t ip = at->uc_mcontext.gregs[REG_RIP];
  const uintptr_t *top = (const uintptr_t *)at->uc_mcontext.gregs[REG_RSP];
  void *trace[DEPTH];
  int depth = backtrace(trace, DEPTH);
  int first = 0;
  while (first < depth && (uintptr_t)trace[first] != ip) first++;
  bool to_root = false, through_caller = in_root(ip);
  for (int i = first; i < depth; i++) {
    to_root |= in_root((uintptr_t)trace[i]);
    through_caller |= in_caller((uintptr_t)trace[i]);
  }
  bool right = to_root && through_caller;
  bool by_frames = framed(at);
  uintptr_t last = depth == 0 ? 0 : (uintptr_t)trace[depth - 1];
  if (in_ours(ip)) {
    add(to->ours, 1);
    if (right) add(to->ours_unwound, 1);
    if (by_frames) add(to->ours_framed, 1);
    if (in_caller(top[0]) || in_caller(top[1])) add(to->ours_at_top, 1);
  }
  if (!right && in_ours(last)) {
    if (!in_ours(ip)) add(to->below_ours, 1);
  } else if (!right) {
    *to->lost_at = last;
    add(to->lost, 1);
  }
  if (!by_frames) add(to->lost_framed, 1);
  add(to->samples, 1);
}

static void handle_timer(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  if (self == NULL) return;
  /* In this order, so that who ends the sampling and then sees no handler knows that none will count. */
  __atomic_store_n(&self->in_handler, true, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&sampling, __ATOMIC_SEQ_CST)) take(context, &timed);
  __atomic_store_n(&self->in_handler, false, __ATOMIC_SEQ_CST);
}

/* Not within code that saves the flags before and restores them after. */
static void begin_steps(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ucontext_t *at = context;
  uintptr_t ip = at->uc_mcontext.gregs[REG_RIP];
  if (begun || !(in_root(ip) || in_caller(ip))) return;
  at->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
  begun = true;
}

static void handle_step(int signal, siginfo_t *info, void *context) {
  (void)signal;
  ucontext_t *at = context;
  if (info->si_code != TRAP_TRACE) _exit(3);
  take(at, &stepped);
  if (--steps > 0) return;
  at->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static long sum(long *values, long count) {
  long sum = 0;
  for (long i = 0; i < count; i++) sum += values[i];
  return sum;
}

static long (*volatile summer)(long *, long) = sum;

__attribute__((noinline)) long hot(long x) {
  long values[4] = {x, 0, 0, 0};
  long all = summer(values, 4);
  long first = summer(values, 2);
  return all + (first - x) + 1 + values[3] * x;
}

/* A PAUSE takes up to 140 cycles: Intel's optimization manual. */
extern long slow(long x);
__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".globl slow\n"
    ".type slow, @function\n"
    "slow: .cfi_startproc\n"
    "  push %rbx\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  .cfi_rel_offset rbx, 0\n"
    "  pause\n"
    "  pause\n"
    "  lea 1(%rdi), %rbx\n"
    "  mov %rbx, %rax\n"
    "  pop %rbx\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  .cfi_restore rbx\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size slow, . - slow\n"
    ".popsection");

static long (*volatile called)(long);

__attribute__((noinline, section("section_of_caller"))) long caller(long x) {
  return called(x) ^ 0x5555;
}

static void *work(void *argument) __attribute__((noinline, section("section_of_root")));
static void *work(void *argument) {
  struct worker *me = argument;
  self = me;
  me->high = (uintptr_t)__builtin_frame_address(0) + 8;
  me->low = me->high - 32 * 1024;
  for (long x = 0;; x++) {
    long result = caller(x) ^ 0x5555;
    if (result == -1) {
      (*me->returned)++;
    } else if (result != x + 1) {
      (*me->wrong)++;
    }
    (*me->calls)++;
  }
  return NULL;
}

static __attribute__((noinline, section("section_of_base"))) void *base(void *argument) {
  struct worker *me = argument;
  me->thread = pthread_self();
  me->id = gettid();
  work(me);
  return NULL;
}

static void read_maps(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) fail("/proc/self/maps");
  char line[512];
  int count = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    struct range range;
    char rights[8];
    if (strstr(line, "/memfd:textpoke") == NULL) continue;
    if (sscanf(line, "%lx-%lx %7s", &range.start, &range.end, rights) != 3) fail("%s", line);
    if (strchr(rights, 'x') == NULL) continue;
    if (count == RANGES) fail("more mappings of ours than %d", RANGES);
    ours[count++] = range;
  }
  fclose(maps);
  our_count = count;
}

static long threads;

static void sample_every(long nanoseconds) {
  __atomic_store_n(&sampling, nanoseconds != 0, __ATOMIC_SEQ_CST);
  for (int i = 0; i < threads; i++) {
    struct itimerspec every = {{0, nanoseconds}, {0, nanoseconds}};
    if (timer_settime(workers[i].timer, 0, &every, NULL)) fail("timer_settime");
  }
  if (nanoseconds != 0) return;
  for (int i = 0; i < threads; i++) {
    while (__atomic_load_n(&workers[i].in_handler, __ATOMIC_SEQ_CST)) rest();
  }
  add(idle, 1);
}

static void command(const char *line) {
  long number;
  if (strcmp(line, "maps") == 0) {
    read_maps();
  } else if (sscanf(line, "sample %ld", &number) == 1) {
    sample_every(number * 1000);
  } else if (sscanf(line, "step %ld", &number) == 1) {
    steps = number;
    begun = false;
    while (!begun) {
      if (pthread_kill(workers[0].thread, SIGUSR1)) fail("pthread_kill");
      rest();
    }
  } else {
    fail("no command '%s'", line);
  }
}

static counter *named(const char *kind, const char *name) {
  char text[64];
  snprintf(text, sizeof text, "%s_%s", kind, name);
  return new_counter(text, 0);
}

static struct samples new_samples(const char *kind) {
  return (struct samples){
      named(kind, "samples"),     named(kind, "ours"),       named(kind, "ours_unwound"),
      named(kind, "ours_framed"), named(kind, "ours_at_top"), named(kind, "below_ours"),
      named(kind, "lost"),        named(kind, "lost_at"),    named(kind, "lost_framed"),
  };
}

static void catch(int signal, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigfillset(&action.sa_mask);
  sigaction(signal, &action, NULL);
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  threads = option_number("--threads", 2);
  const char *name = option_text("--function", "hot");
  options_done();
  called = strcmp(name, "hot") == 0 ? hot : strcmp(name, "slow") == 0 ? slow : NULL;
  if (called == NULL) fail("no function '%s'", name);
  void *trace[DEPTH];
  if (backtrace(trace, DEPTH) == 0) fail("backtrace"); /* loads the unwinder outside of a handler */
  idle = new_counter("idle", 0);
  timed = new_samples("timed");
  stepped = new_samples("stepped");
  catch(SIGPROF, handle_timer);
  catch(SIGUSR1, begin_steps);
  catch(SIGTRAP, handle_step);
  workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    new_counter_line();
    workers[i].calls = new_counter("calls_%d", i);
    workers[i].returned = new_counter("returned_%d", i);
    workers[i].wrong = new_counter("wrong_%d", i);
    start_thread(base, &workers[i]);
  }
  for (int i = 0; i < threads; i++) {
    struct tally tally = {.calls = workers[i].calls};
    await_first_call(&tally);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    event._sigev_un._tid = workers[i].id;
    if (timer_create(CLOCK_MONOTONIC, &event, &workers[i].timer)) fail("timer_create");
  }
  ready();
  serve(command);
}
