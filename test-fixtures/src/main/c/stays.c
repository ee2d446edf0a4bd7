/*
 * stays: workers that call functions in which no jump of five bytes can stand, so that a probe there
 * is a breakpoint that stays. They can tell which calls came by way of a body that keeps registers
 * below the stack pointer, as those of probes at a function's entry do.
 *
 *   --threads N      workers (default 8)
 *   --calls N        how often each worker calls each function; 0: until the command "stop" (default)
 *   --blocked        workers block all signals
 *   --handled        workers call "tiny" from a signal handler too, in which all signals are blocked
 *   --trapping       workers run breakpoints of their own, and take them
 *
 *   tiny             x; four bytes, and behind them another function
 *   entered          1 + 2 + ... + x; a loop of it begins two bytes behind its first
 *   looped           a loop in which flags, all registers and the red zone are in use. at_jump is
 *                    an instruction of it where a jump can stand, at_int3 one where none can, since
 *                    the loop is entered behind it. Each is passed LOOPS - 1 times in a call
 *
 * Workers begin at the command "go". Counters of worker I: calls_I, of each function; through_I,
 * entered_I: how many of those of tiny, and of entered, came by way of such a body; handled_I: calls
 * of tiny from the handler; trapped_I: breakpoints of the program's own; wrong_I. The counter
 * "stopped" says how many workers have ended.
 *
 * Commands: "fork": a child calls all of them and ends; "vfork": one that shares the memory calls
 * tiny; "thread": a new thread calls tiny; each then counts as "born", what went wrong as
 * "born_wrong". "exec": the program begins anew. "mask": wrong_0 grows if SIGUSR2 or SIGTRAP is not
 * blocked in the main thread as it was; "block": they are.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

enum { LOOPS = 9, INPUTS = 64, CHILD_CALLS = 1000 };

struct worker {
  counter *calls, *through, *entered, *handled, *trapped, *wrong;
};

typedef long function(long);

extern function tiny, entered;
extern long looped(long count, long seed);
extern char at_jump[], at_int3[];
__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".globl tiny\n"
    ".type tiny, @function\n"
    "tiny:\n"
    "  mov %rdi, %rax\n"
    "  ret\n"
    ".size tiny, . - tiny\n"
    ".globl neighbour\n"
    ".type neighbour, @function\n"
    "neighbour:\n"
    "  lea 1(%rdi), %rax\n"
    "  ret\n"
    ".size neighbour, . - neighbour\n"
    ".balign 64\n"
    ".globl entered\n"
    ".type entered, @function\n"
    "entered:\n"
    "  xor %eax, %eax\n"
    "1:\n"
    "  add %rdi, %rax\n"
    "  dec %rdi\n"
    "  jnz 1b\n"
    "  ret\n"
    ".size entered, . - entered\n"
    ".balign 64\n"
    ".globl looped\n"
    ".type looped, @function\n"
    "looped:\n"
    "  mov %rdi, %rcx\n"
    "  mov %rsi, -8(%rsp)\n"
    "  mov %rsi, -16(%rsp)\n"
    "  mov %rsi, -24(%rsp)\n"
    "  mov %rsi, -128(%rsp)\n"
    "  mov %rsi, %rax\n"
    "  lea 1(%rsi), %rdx\n"
    "  lea 2(%rsi), %rdi\n"
    "  lea 3(%rsi), %r8\n"
    "  lea 4(%rsi), %r9\n"
    "  lea 5(%rsi), %r10\n"
    "  lea 6(%rsi), %r11\n"
    "  add %rsi, %rsi\n"
    "  jmp 3f\n"
    "2:\n"
    "  adc -8(%rsp), %rax\n"
    "  adc -16(%rsp), %rdx\n"
    ".globl at_jump\n"
    "at_jump:\n"
    "  adc %rdx, %r8\n"
    "  rcl $1, %r9\n"
    "  adc -24(%rsp), %rdi\n"
    ".globl at_int3\n"
    "at_int3:\n"
    "  adc %r11, %r10\n"
    "3:\n"
    "  adc %rax, %r11\n"
    "  rcr $1, %rsi\n"
    "  lea -1(%rcx), %rcx\n"
    "  jrcxz 4f\n"
    "  jmp 2b\n"
    "4:\n"
    "  adc -128(%rsp), %rax\n"
    "  adc %rdx, %rax\n"
    "  adc %rdi, %rax\n"
    "  adc %rsi, %rax\n"
    "  adc %r8, %rax\n"
    "  adc %r9, %rax\n"
    "  adc %r10, %rax\n"
    "  adc %r11, %rax\n"
    "  ret\n"
    ".size looped, . - looped\n"
    ".balign 64\n"
    ".popsection");

static long limit;
static bool blocked, handled, trapping;
static volatile bool go, stop;
static counter *stopped, *born, *born_wrong;
static long expected[INPUTS];
static char *const *arguments;
static __thread struct worker *own;
static struct worker *workers;

/* Whether the call came by way of a body. The two words are below the stack pointer of the function
 * that is called, where it may write, and does not; no signal comes. */
static bool call(function *called, long argument, long right, counter *wrong) {
  long result = 0, first = 0, second, sentinel = 0x5e9714e15e9714e1;
  __asm__ volatile(
      "lea -256(%%rsp), %%rsp\n\t"
      "mov %[sentinel], -72(%%rsp)\n\t"
      "mov %[sentinel], -80(%%rsp)\n\t"
      "call *%[called]\n\t"
      "mov -72(%%rsp), %%rcx\n\t"
      "mov -80(%%rsp), %%rdx\n\t"
      "lea 256(%%rsp), %%rsp"
      : "+a"(result), "+c"(first), "=&d"(second), "+D"(argument)
      : [called] "r"(called), [sentinel] "r"(sentinel)
      : "cc", "memory");
  if (result != right) (*wrong)++;
  return first != sentinel || second != sentinel;
}

static void pass(unsigned long input, counter *wrong) {
  input %= INPUTS;
  if (looped(LOOPS, (long)(input * 0x9e3779b97f4a7c15UL)) != expected[input]) (*wrong)++;
}

static void on_signal(int number) {
  (void)number;
  (*own->handled)++;
  if (tiny(5) != 5) (*own->wrong)++;
}

static void on_trap(int number) {
  (void)number;
  (*own->trapped)++;
}

static void *work(void *argument) {
  struct worker *self = argument;
  own = self;
  if (blocked) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
  }
  while (!go) {
    struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
  }
  for (long i = 0; limit == 0 ? !stop : i < limit; i++) {
    if (call(tiny, i, i, self->wrong)) (*self->through)++;
    if (call(entered, 3, 6, self->wrong)) (*self->entered)++;
    pass(i, self->wrong);
    if (handled && i % 16 == 0) pthread_kill(pthread_self(), SIGUSR1);
    if (trapping && i % 16 == 0) __asm__ volatile("int3" ::: "memory");
    (*self->calls)++;
  }
  add(stopped, 1);
  return NULL;
}

static void call_all(counter *wrong) {
  for (long i = 0; i < CHILD_CALLS; i++) {
    call(tiny, i, i, wrong);
    call(entered, 3, 6, wrong);
    pass(i, wrong);
  }
}

static void *live(void *argument) {
  call_all(argument);
  add(born, 1);
  return NULL;
}

static void await(pid_t child) {
  int status;
  if (child < 0) fail("no child");
  while (waitpid(child, &status, 0) != child) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) add(born_wrong, 1);
  add(born, 1);
}

static void command(const char *line) {
  sigset_t set;
  sigemptyset(&set);
  if (strcmp(line, "go") == 0) {
    go = true;
  } else if (strcmp(line, "stop") == 0) {
    stop = true;
  } else if (strcmp(line, "fork") == 0) {
    pid_t child = fork();
    if (child == 0) {
      call_all(born_wrong);
      _exit(0);
    }
    await(child);
  } else if (strcmp(line, "vfork") == 0) {
    pid_t child = vfork();
    if (child == 0) _exit(tiny(7) == 7 ? 0 : 1);
    await(child);
  } else if (strcmp(line, "thread") == 0) {
    start_thread(live, (void *)born_wrong);
  } else if (strcmp(line, "exec") == 0) {
    execv("/proc/self/exe", arguments);
    fail("exec");
  } else if (strcmp(line, "block") == 0) {
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGTRAP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    add(born, 1);
  } else if (strcmp(line, "mask") == 0) {
    if (tiny(3) != 3) add(born_wrong, 1);
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    if (!sigismember(&set, SIGUSR2) || !sigismember(&set, SIGTRAP)) add(born_wrong, 1);
    add(born, 1);
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  arguments = argv;
  fixture_init(argc, argv);
  long threads = option_number("--threads", 8);
  limit = option_number("--calls", 0);
  blocked = option_flag("--blocked");
  handled = option_flag("--handled");
  trapping = option_flag("--trapping");
  options_done();
  for (unsigned long i = 0; i < INPUTS; i++) {
    expected[i] = looped(LOOPS, (long)(i * 0x9e3779b97f4a7c15UL));
  }
  struct sigaction action = {.sa_handler = on_signal};
  sigfillset(&action.sa_mask);
  if (sigaction(SIGUSR1, &action, NULL) != 0) fail("sigaction");
  struct sigaction trap = {.sa_handler = on_trap};
  if (trapping && sigaction(SIGTRAP, &trap, NULL) != 0) fail("sigaction");
  stopped = new_counter("stopped", 0);
  born = new_counter("born", 0);
  born_wrong = new_counter("born_wrong", 0);
  workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    new_counter_line();
    workers[i].calls = new_counter("calls_%d", i);
    workers[i].through = new_counter("through_%d", i);
    workers[i].entered = new_counter("entered_%d", i);
    workers[i].handled = new_counter("handled_%d", i);
    workers[i].trapped = new_counter("trapped_%d", i);
    workers[i].wrong = new_counter("wrong_%d", i);
    start_thread(work, &workers[i]);
  }
  publish("tiny", tiny);
  publish("at_jump", at_jump);
  publish("at_int3", at_int3);
  ready();
  serve(command);
}
