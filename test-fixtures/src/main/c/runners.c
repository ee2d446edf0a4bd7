/* See runners.h. */
#define _GNU_SOURCE
#include "runners.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"
#include "worker_sites.h"

enum { MARK = 4 };

struct runner {
  bool blocked;
  int pipe[2]; /* addresses to call; reading one is a call that the kernel restarts */
  counter *id, *begun, *ended, *result, *traps, *trap_at;
};

static struct runner *runners;
static int runner_count;
static __thread struct runner *self; /* NULL in threads that are no runners */

/* Calls a site with x + MARK in rax, so that code which sets no result is told from all other. */
extern long call_marked(long x, function *entry);
__asm__(
    ".pushsection .text\n"
    "call_marked: lea 4(%rdi), %rax\n jmp *%rsi\n"
    ".popsection");
_Static_assert(MARK == 4, "as in call_marked");

static void *run(void *argument) {
  self = argument;
  sigset_t all;
  sigfillset(&all);
  if (self->blocked) pthread_sigmask(SIG_BLOCK, &all, NULL);
  *self->id = gettid();
  function *entry;
  for (long x = 0; read(self->pipe[0], &entry, sizeof entry) == sizeof entry; x++) {
    (*self->begun)++;
    *self->result = call_marked(x, entry) - x;
    (*self->ended)++;
  }
  fail("read of a runner's pipe");
}

void start_runners(int count, int blocked) {
  runner_count = count;
  runners = calloc(count + 1, sizeof *runners);
  for (int i = 0; i < count; i++) {
    new_counter_line();
    runners[i] = (struct runner){
        .blocked = i < blocked,
        .id = new_counter("runner_id_%d", i),
        .begun = new_counter("runs_begun_%d", i),
        .ended = new_counter("runs_%d", i),
        .result = new_counter("run_result_%d", i),
        .traps = new_counter("run_traps_%d", i),
        .trap_at = new_counter("run_trap_at_%d", i),
    };
    if (pipe(runners[i].pipe)) fail("pipe");
    start_thread(run, &runners[i]);
    while (*runners[i].id == 0) rest();
  }
}

bool run_command(const char *line) {
  unsigned index;
  void *entry;
  if (sscanf(line, "run %u %p", &index, &entry) != 2 || index >= (unsigned)runner_count) {
    return false;
  }
  if (write(runners[index].pipe[1], &entry, sizeof entry) != sizeof entry) fail("write to a runner");
  return true;
}

void note_trap(const ucontext_t *at) {
  if (self != NULL) {
    add(self->traps, 1);
    *self->trap_at = at->uc_mcontext.gregs[REG_RIP];
  }
}
