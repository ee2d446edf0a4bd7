/*
 * displaced: workers that call a function whose first instructions can only be patched by displacing
 * several, and that stand on a boundary inside of them nearly always.
 *
 *   --threads N   workers (default 2)
 *   --sleepers N  threads in epoll_wait, which returns EINTR if they are interrupted (default 0)
 *   --bytes N     what a call of the old code stores: how long it stays inside (default 65536)
 *   --altstack    the workers' signal handler has a stack of its own
 *
 *   site  push %rbx; rep stos %al,(%rdi); pop %rbx; lea 1(%rdx),%rax; ret
 *         boundaries at 0, 1, 3 and 4; the first instruction has one byte; the copy is of 8
 *   repl  lea 2(%rdx),%rax; ret
 *   copy  a page of breakpoints for the out-of-line copy, which nobody calls yet
 *
 * The commands "hold wait" and "hold spin" send SIGUSR1 to worker 0 until it meets it on a boundary
 * inside; then held is 1, and its handler reads a pipe, or spins, until the command "release". After
 * "hold fork" it forks when it is released, and both go on inside. Counters:
 * calls, results_old, results_new, wrong of the workers; worker_id_I: thread ids; handled: signals;
 * held; asleep: sleepers that have come to their call; eintr: calls of sleepers that have returned. Of
 * the child: child, its process id; child_calls, child_old, child_new, child_wrong as calls,
 * results_old, results_new, wrong; child_killed: it has ended.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "fixture.h"

extern long site(char *buffer, long unused, long x, long bytes);
extern const char repl[], copy[], site_end[];
__asm__(
    ".pushsection .text\n"
    ".balign 4096, 0xcc\n"
    ".skip 62, 0xcc\n"
    ".globl site\n"
    ".type site, @function\n"
    "site:\n"
    "  push %rbx\n"
    "  rep stosb\n"
    "  pop %rbx\n"
    "  lea 1(%rdx), %rax\n"
    "site_end:\n"
    "  ret\n"
    ".size site, . - site\n"
    ".balign 4096, 0xcc\n"
    ".popsection\n"
    ".pushsection displaced_copy, \"ax\", @progbits\n"
    ".balign 4096, 0xcc\n"
    "copy: .skip 4096, 0xcc\n"
    ".popsection\n"
    ".pushsection fixture_repl, \"ax\", @progbits\n"
    ".balign 4096, 0xcc\n"
    ".skip 0x567, 0xcc\n"
    ".globl repl\n"
    ".type repl, @function\n"
    "repl:\n"
    "  lea 2(%rdx), %rax\n"
    "  ret\n"
    ".size repl, . - repl\n"
    ".balign 4096, 0xcc\n"
    ".popsection");

enum { HANDLER_STACK = 64 * 1024 };

struct worker {
  struct tally tally;
  counter *id;
  volatile pthread_t thread;
};

static long bytes;
static bool altstack;
static struct worker *workers;
static struct tally child_tally;
static counter *handled, *held, *asleep, *eintr, *last_child, *child_killed;
static volatile bool holding, spinning, forking, released;
static int wake[2];

/* Plain system calls, since this is a signal handler. */
static void fork_child(void) {
  pid_t child = fork();
  if (child < 0) _exit(3);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* for when the program was started by hand */
    workers[0].tally = child_tally;
  } else {
    *last_child = child;
  }
}

static void *watch_child(void *argument) {
  (void)argument;
  while (*last_child == 0) usleep(1000);
  if (waitpid(*last_child, NULL, 0) == (pid_t)*last_child) add(child_killed, 1);
  return NULL;
}

static void handle(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  const ucontext_t *at = context;
  uintptr_t rip = at->uc_mcontext.gregs[REG_RIP];
  if (holding && rip > (uintptr_t)site && rip < (uintptr_t)site_end) {
    holding = false;
    *held = 1;
    char byte;
    while (spinning && !released) {
    }
    if (!spinning && read(wake[0], &byte, 1) != 1) _exit(3);
    *held = 0;
    if (forking) fork_child();
  }
  add(handled, 1);
}

static void *work(void *argument) {
  struct worker *self = argument;
  char *buffer = malloc(bytes);
  if (altstack) {
    /* Between pages that nobody may touch, so that it is a mapping of its own. */
    char *stack = mmap(NULL, HANDLER_STACK + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack + 4096, HANDLER_STACK, PROT_READ | PROT_WRITE)) {
      fail("stack of a handler");
    }
    stack_t own = {.ss_sp = stack + 4096, .ss_size = HANDLER_STACK};
    if (sigaltstack(&own, NULL)) fail("sigaltstack");
  }
  *self->id = gettid();
  self->thread = pthread_self();
  typeof(site) *volatile entry = site;
  for (long x = 0;; x++) check_result(&self->tally, x, entry(buffer, 0, x, bytes));
  return NULL;
}

static void *sleep_for_ever(void *argument) {
  (void)argument;
  int fd = epoll_create1(0);
  struct epoll_event event;
  add(asleep, 1);
  for (;;) {
    epoll_wait(fd, &event, 1, -1);
    add(eintr, 1);
  }
  return NULL;
}

static void hold(const char *how) {
  spinning = strcmp(how, "spin") == 0;
  forking = strcmp(how, "fork") == 0;
  if (forking) start_thread(watch_child, NULL);
  released = false;
  holding = true;
  while (holding) {
    uint64_t before = *handled;
    if (pthread_kill(workers[0].thread, SIGUSR1)) fail("pthread_kill");
    while (holding && *handled == before) rest();
  }
}

static void command(const char *line) {
  if (strcmp(line, "hold wait") == 0 || strcmp(line, "hold spin") == 0 ||
      strcmp(line, "hold fork") == 0) {
    hold(line + strlen("hold "));
  } else if (strcmp(line, "release") == 0) {
    released = true;
    if (!spinning && write(wake[1], "", 1) != 1) fail("write");
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 2);
  long sleepers = option_number("--sleepers", 0);
  bytes = option_number("--bytes", 65536);
  altstack = option_flag("--altstack");
  options_done();
  if (pipe(wake)) fail("pipe");
  handled = new_counter("handled", 0);
  held = new_counter("held", 0);
  asleep = new_counter("asleep", 0);
  eintr = new_counter("eintr", 0);
  last_child = new_counter("child", 0);
  child_killed = new_counter("child_killed", 0);
  child_tally = (struct tally){
      new_counter("child_calls", 0), new_counter("child_old", 0), new_counter("child_new", 0),
      new_counter("child_wrong", 0)};
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  publish("site", site);
  publish("repl", repl);
  publish("copy", copy);
  workers = calloc(threads + 1, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    workers[i].tally = new_tally(i);
    workers[i].id = new_counter("worker_id_%d", i);
    start_thread(work, &workers[i]);
  }
  for (int i = 0; i < sleepers; i++) start_thread(sleep_for_ever, NULL);
  for (int i = 0; i < threads; i++) await_first_call(&workers[i].tally);
  while (*asleep < (uint64_t)sleepers) rest(); /* they are looked for where they sleep */
  ready();
  serve(command);
}
