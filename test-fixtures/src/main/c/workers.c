/*
 * workers: threads that call patchable functions through pointers and check each result.
 *
 *   --threads N        how many (default 2)
 *   --sites LIST       which sites, separated by commas: names (nop_62), or the groups nop, call,
 *                      page, batch, all (default: all but batch). Each worker calls them in turn
 *   --pin-workers      each worker keeps to one of the processors that the program may use, in turn
 *   --block-sigtrap N  the first N workers block SIGTRAP
 *   --block-all N      the first N workers block every signal
 *   --ignore-sigtrap   SIGTRAP is ignored by the process
 *   --handle-sigtrap   SIGTRAP has a handler, and the last worker runs breakpoints of its own (cc
 *                      and cd 03) now and then
 *   --take-armed       SIGTRAP has a handler that takes the breakpoints that somebody arms at sites:
 *                      the thread goes on at repl
 *   --undumpable       the process is not dumpable, so only CAP_SYS_PTRACE may trace it
 *   --runners N        N threads (default 0) that call a site when the command "run I ADDRESS" tells
 *                      runner I to
 *   --blocked-runners N  the first N runners block every signal
 *
 * Counters of worker I: calls_I, results_old_I (x + 1), results_new_I (x + 2), wrong_I, and
 * mask_lost_I, handler_lost_I: how often the worker found another signal mask or SIGTRAP handler
 * than was set. Of the process: own_traps, own_traps_seen, foreign_traps: breakpoints run by the
 * program, those that its handler saw, and those that it saw but did not run; armed_traps: those
 * taken at sites. Of runner I: runner_id_I, its thread id; runs_begun_I, runs_I: calls begun, and
 * returned from; run_result_I: the last result less x, 4 where the code has set none; run_traps_I,
 * run_trap_at_I: what the handler saw, and rip at the last.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include "fixture.h"
#include "runners.h"
#include "worker_sites.h"

enum { MAX_SITES = NAMED_SITES + BATCH_SITES, CHECK_EVERY = 4096 };

struct worker {
  long index;
  bool block_sigtrap, block_all, traps;
  struct tally tally;
  counter *mask_lost, *handler_lost;
};

static function *chosen[MAX_SITES];
static int chosen_count;

static bool pin_workers, ignore_sigtrap, handle_sigtrap, take_armed;
static counter *own_traps, *own_traps_seen, *foreign_traps, *armed_traps;

/* Two breakpoints of our own; the labels are what rip is in the handler. */
extern char after_int3[], after_int_03[];
__asm__(
    ".pushsection .text\n"
    "own_int3: int3\n after_int3: ret\n"
    "own_int_03: .byte 0xcd, 0x03\n after_int_03: ret\n"
    ".popsection");
extern void own_int3(void), own_int_03(void);

static void on_sigtrap(int number, siginfo_t *info, void *context) {
  (void)number;
  const ucontext_t *at = context;
  uintptr_t rip = at->uc_mcontext.gregs[REG_RIP];
  bool ours = rip == (uintptr_t)after_int3 || rip == (uintptr_t)after_int_03;
  add(ours && info->si_code == SI_KERNEL ? own_traps_seen : foreign_traps, 1);
}

/* The breakpoint is the first byte of an instruction: what is behind it is none to go on with. */
static void on_armed(int number, siginfo_t *info, void *context) {
  (void)number;
  ucontext_t *at = context;
  bool armed = info->si_code == SI_KERNEL && is_in_site(at->uc_mcontext.gregs[REG_RIP] - 1);
  note_trap(at);
  add(armed ? armed_traps : foreign_traps, 1);
  if (armed) at->uc_mcontext.gregs[REG_RIP] = (uintptr_t)repl;
}

static void set_up_sigtrap(void) {
  struct sigaction action = {0};
  if (ignore_sigtrap) action.sa_handler = SIG_IGN;
  if (handle_sigtrap) {
    action.sa_sigaction = on_sigtrap;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
  }
  if (take_armed) {
    action.sa_sigaction = on_armed;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
  }
  if (sigaction(SIGTRAP, &action, NULL)) fail("sigaction");
}

static void check_signal_state(const struct worker *self, const sigset_t *expected) {
  sigset_t found;
  pthread_sigmask(SIG_SETMASK, NULL, &found);
  for (int i = 1; i < NSIG; i++) {
    if (sigismember(&found, i) != sigismember(expected, i)) {
      (*self->mask_lost)++;
      break;
    }
  }
  struct sigaction action;
  sigaction(SIGTRAP, NULL, &action);
  bool as_set = ignore_sigtrap   ? action.sa_handler == SIG_IGN
                : handle_sigtrap ? action.sa_sigaction == on_sigtrap
                : take_armed     ? action.sa_sigaction == on_armed
                                 : action.sa_handler == SIG_DFL;
  if (!as_set) (*self->handler_lost)++;
}

static void set_up_mask(const struct worker *self, sigset_t *expected) {
  sigset_t block;
  sigemptyset(&block);
  if (self->block_sigtrap) sigaddset(&block, SIGTRAP);
  if (self->block_all) sigfillset(&block);
  pthread_sigmask(SIG_SETMASK, &block, NULL);
  pthread_sigmask(SIG_SETMASK, NULL, expected); /* without those that libc keeps for itself */
}

/* On one processor of those that the program may use: with as many workers as processors, one runs
 * on each, wherever else the scheduler would have put them. */
static void pin(long index) {
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed)) fail("sched_getaffinity");
  long turn = index % CPU_COUNT(&allowed);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &allowed) || turn-- > 0) cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one)) fail("sched_setaffinity");
}

static void *work(void *argument) {
  const struct worker *self = argument;
  if (pin_workers) pin(self->index);
  sigset_t mask;
  set_up_mask(self, &mask);
  int next = self->index % chosen_count;
  for (long x = self->index;; x++) {
    check_result(&self->tally, x, chosen[next](x));
    if (++next == chosen_count) next = 0;
    uint64_t calls = *self->tally.calls;
    if (calls % CHECK_EVERY == 0) {
      if (self->traps) {
        (*own_traps)++;
        calls / CHECK_EVERY % 2 == 0 ? own_int3() : own_int_03();
      }
      check_signal_state(self, &mask);
    }
  }
  return NULL;
}

static void choose(function *entry) {
  if (chosen_count == MAX_SITES) fail("more than %d sites", MAX_SITES);
  chosen[chosen_count++] = entry;
}

static bool in_group(const char *name, const char *group) {
  bool page = strstr(name, "page") != NULL;
  if (strcmp(group, "all") == 0) return true;
  if (strcmp(group, "page") == 0) return page;
  if (strcmp(group, "nop") == 0) return !page && strncmp(name, "nop", 3) == 0;
  if (strcmp(group, "call") == 0) return !page && strncmp(name, "call", 4) == 0;
  return strcmp(name, group) == 0;
}

static void choose_sites(const char *list) {
  char *copy = strdup(list);
  for (char *group = strtok(copy, ","); group != NULL; group = strtok(NULL, ",")) {
    int before = chosen_count;
    for (int i = 0; i < NAMED_SITES; i++) {
      if (in_group(SITES[i].name, group)) choose(SITES[i].entry);
    }
    for (long i = 0; i < BATCH_SITES && strcmp(group, "batch") == 0; i++) {
      choose((function *)((uintptr_t)batch_site_0 + i * BATCH_STRIDE));
    }
    if (chosen_count == before) {
      fprintf(stderr, "fixture: no site is called %s\n", group);
      exit(2);
    }
  }
  free(copy);
}

static void publish_addresses(void) {
  for (int i = 0; i < NAMED_SITES; i++) publish(SITES[i].name, SITES[i].entry);
  publish("batch_0", batch_site_0);
  publish("repl", repl);
  publish("target_a", target_a);
  publish("target_b", target_b);
}

static void command(const char *line) {
  if (!run_command(line)) fail("no command '%s'", line);
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  check_that_tears_fault();
  long threads = option_number("--threads", 2);
  pin_workers = option_flag("--pin-workers");
  long block_sigtrap = option_number("--block-sigtrap", 0);
  long block_all = option_number("--block-all", 0);
  ignore_sigtrap = option_flag("--ignore-sigtrap");
  handle_sigtrap = option_flag("--handle-sigtrap");
  take_armed = option_flag("--take-armed");
  long runners = option_number("--runners", 0);
  long blocked_runners = option_number("--blocked-runners", 0);
  if (option_flag("--undumpable") && prctl(PR_SET_DUMPABLE, 0)) fail("PR_SET_DUMPABLE");
  choose_sites(option_text("--sites", "all"));
  options_done();
  if (handle_sigtrap && (block_sigtrap >= threads || block_all >= threads)) {
    fprintf(stderr, "fixture: no worker is left that can take breakpoints of its own\n");
    return 2;
  }
  if (ignore_sigtrap + handle_sigtrap + take_armed > 1) {
    fprintf(stderr, "fixture: SIGTRAP has one handler\n");
    return 2;
  }

  own_traps = new_counter("own_traps", 0);
  own_traps_seen = new_counter("own_traps_seen", 0);
  foreign_traps = new_counter("foreign_traps", 0);
  armed_traps = new_counter("armed_traps", 0);
  set_up_sigtrap();
  publish_addresses();
  struct worker *workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    workers[i] = (struct worker){
        .index = i,
        .block_sigtrap = i < block_sigtrap,
        .block_all = i < block_all,
        .traps = handle_sigtrap && i == threads - 1,
        .tally = new_tally(i),
        .mask_lost = new_counter("mask_lost_%d", i),
        .handler_lost = new_counter("handler_lost_%d", i),
    };
  }
  for (int i = 0; i < threads; i++) start_thread(work, &workers[i]);
  for (int i = 0; i < threads; i++) await_first_call(&workers[i].tally);
  start_runners(runners, blocked_runners);
  ready();
  serve(command);
}
