/*
 * captured: workers that call a function of six integer arguments, which follow from who calls and
 * from the number of the call; all 64 bits of each register count.
 *
 *   --threads N  workers (default 8)
 *   --calls N    how often each worker calls; 0: until the command "stop" (default 0)
 *   --alarms N   a signal comes to each worker every N microseconds, whose handler calls it too
 *
 *   six(who, number, a, b, c, d)  a leaf that changes no register but rax and the flags. who: the
 *                worker, from 0; in a handler 1000 more. number: from 0, of the worker or of its
 *                handler. a = mix((who << 32) + number), b = mix(a), c = mix(b), d = mix(c). Returns
 *                ((((2 who + 42) ^ number) + a) ^ b) + c ^ d, from the left to the right
 *
 * Workers begin at the command "go". Counters: calls_I; handled_I; wrong_I: how often the result or
 * any register was not as it should be; tid_I: the thread; stopped: how many workers have ended.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

enum { ARGUMENTS = 6, HANDLER = 1000, RAX = 42 };

/* check_call(arguments, &result): how many registers the call has changed. */
extern long check_call(const uint64_t *arguments, uint64_t *result);
__asm__(
    ".pushsection .text\n"
    ".skip 256, 0xcc\n" /* no short jump that anybody reads there leads to it */
    ".balign 64\n"
    ".globl six\n"
    ".type six, @function\n"
    "six:\n"
    "  lea (%rax,%rdi,2), %rax\n"
    "  xor %rsi, %rax\n"
    "  add %rdx, %rax\n"
    "  xor %rcx, %rax\n"
    "  add %r8, %rax\n"
    "  xor %r9, %rax\n"
    "  ret\n"
    ".size six, . - six\n"
    ".skip 256, 0xcc\n"
    ".globl check_call\n"
    ".type check_call, @function\n"
    "check_call:\n"
    "  push %rbx\n"
    "  push %rsi\n"
    "  mov %rdi, %rbx\n"
    "  mov (%rbx), %rdi\n"
    "  mov 8(%rbx), %rsi\n"
    "  mov 16(%rbx), %rdx\n"
    "  mov 24(%rbx), %rcx\n"
    "  mov 32(%rbx), %r8\n"
    "  mov 40(%rbx), %r9\n"
    "  mov %rbx, %r10\n"
    "  mov %rsp, %r11\n"
    "  movq %rbx, %xmm0\n"
    "  movq %rbx, %xmm15\n"
    "  mov $42, %eax\n"
    "  sub $8, %rsp\n"
    "  call six\n"
    "  add $8, %rsp\n"
    "  sub %rsp, %r11\n"
    "  sub %rbx, %r10\n"
    "  or %r10, %r11\n"
    "  sub (%rbx), %rdi\n"
    "  or %rdi, %r11\n"
    "  sub 8(%rbx), %rsi\n"
    "  or %rsi, %r11\n"
    "  sub 16(%rbx), %rdx\n"
    "  or %rdx, %r11\n"
    "  sub 24(%rbx), %rcx\n"
    "  or %rcx, %r11\n"
    "  sub 32(%rbx), %r8\n"
    "  or %r8, %r11\n"
    "  sub 40(%rbx), %r9\n"
    "  or %r9, %r11\n"
    "  movq %xmm0, %rdi\n"
    "  sub %rbx, %rdi\n"
    "  or %rdi, %r11\n"
    "  movq %xmm15, %rdi\n"
    "  sub %rbx, %rdi\n"
    "  or %rdi, %r11\n"
    "  pop %rsi\n"
    "  mov %rax, (%rsi)\n"
    "  xor %eax, %eax\n"
    "  test %r11, %r11\n"
    "  setne %al\n"
    "  pop %rbx\n"
    "  ret\n"
    ".size check_call, . - check_call\n"
    ".popsection");

struct worker {
  int index;
  counter *calls, *handled, *wrong, *tid;
};

static long limit, alarms;
static volatile bool go, stop;
static counter *stopped;
static _Thread_local struct worker *current;

static uint64_t mix(uint64_t x) {
  return (x ^ x >> 29) * 0xbf58476d1ce4e5b9;
}

static void call(counter *wrong, uint64_t who, uint64_t number) {
  uint64_t v[ARGUMENTS] = {who, number, mix((who << 32) + number)}, result;
  for (int i = 3; i < ARGUMENTS; i++) v[i] = mix(v[i - 1]);
  uint64_t expected = (((((2 * who + RAX) ^ number) + v[2]) ^ v[3]) + v[4]) ^ v[5];
  if (check_call(v, &result) != 0 || result != expected) add(wrong, 1);
}

static void on_alarm(int number) {
  (void)number;
  call(current->wrong, HANDLER + current->index, *current->handled);
  (*current->handled)++;
}

static void start_alarms(const struct worker *self) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
  event._sigev_un._tid = gettid();
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer)) fail("timer_create");
  struct itimerspec every = {{0, alarms * 1000}, {0, (alarms + self->index * 7) * 1000}};
  if (timer_settime(timer, 0, &every, NULL)) fail("timer_settime");
}

static void *work(void *argument) {
  struct worker *self = argument;
  current = self;
  *self->tid = gettid();
  while (!go) {
    struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
  }
  if (alarms > 0) start_alarms(self);
  for (long i = 0; limit == 0 ? !stop : i < limit; i++) {
    call(self->wrong, self->index, i);
    (*self->calls)++;
  }
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  add(stopped, 1);
  return NULL;
}

static void command(const char *line) {
  if (strcmp(line, "go") == 0) {
    go = true;
  } else if (strcmp(line, "stop") == 0) {
    stop = true;
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 8);
  limit = option_number("--calls", 0);
  alarms = option_number("--alarms", 0);
  options_done();
  stopped = new_counter("stopped", 0);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct worker *workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    workers[i].index = i;
    new_counter_line();
    workers[i].calls = new_counter("calls_%d", i);
    workers[i].handled = new_counter("handled_%d", i);
    workers[i].wrong = new_counter("wrong_%d", i);
    workers[i].tid = new_counter("tid_%d", i);
    start_thread(work, &workers[i]);
  }
  ready();
  serve(command);
}
