/*
 * forker: workers, and threads that make processes which call the site.
 *
 *   --threads N       workers (default 1)
 *   --fork            a thread forks: the child calls the site and exits
 *   --vfork           a thread makes children by CLONE_VM|CLONE_VFORK
 *   --spawn           a thread calls posix_spawn of /bin/true
 *   --sharer          a thread makes children that share the memory but are processes of their own
 *                     (CLONE_VM without CLONE_THREAD), in turn with exit signal SIGCHLD and with none
 *   --sharer-early    two such children, one of each sort, that call the site for ever; they exist
 *                     when the program is ready
 *
 * The command "exec" makes the program start itself anew; it says "ready" again. "exec-by-thread" does
 * so by a thread that is not the main one, which the kernel then makes the main one. The command "child"
 * makes it fork a child that calls the site for ever. Counters:
 * generation: how often it did so; calls, results_old, results_new, wrong of workers and children;
 * children_K of sort K (fork, vfork, spawn, sharer), child_wrong: children with exit code not 0;
 * child_killed: ended by a signal. Of the last child that was asked for: child, its process id;
 * child_calls, child_old, child_new, child_bad as calls, results_old, results_new, wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "site.h"

enum { CALLS_OF_A_CHILD = 200, STACK = 64 * 1024 };

static char **own_arguments;
static counter *generation, *child_wrong, *child_killed, *last_child;
static struct tally child_tally;
static int tallies;

/* One thread that makes one child at a time, so that both counters have one writer. */
struct maker {
  counter *children;
  struct tally tally; /* of the children */
  char *stack;
};

static void check_child(pid_t child) {
  int status;
  if (waitpid(child, &status, __WALL) != child) fail("waitpid");
  if (WIFSIGNALED(status)) add(child_killed, 1);
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) add(child_wrong, 1);
}

/* Runs in children that share their parent's memory and thread pointer: no libc but plain system calls. */
static int call_and_exit(void *argument) {
  const struct tally *tally = argument;
  uint64_t wrong = *tally->wrong;
  for (long x = 0; x < CALLS_OF_A_CHILD; x++) call_site(tally, x);
  _exit(*tally->wrong == wrong ? 0 : 1);
}

static int call_for_ever(void *argument) {
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* for when the program was started by hand */
  for (long x = 0;; x++) call_site(argument, x);
  return 0;
}

static void *make_by_fork(void *argument) {
  struct maker *self = argument;
  for (;; (*self->children)++) {
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) call_and_exit(&self->tally);
    check_child(child);
  }
}

static void clone_and_check(struct maker *self, int flags) {
  pid_t child = clone(call_and_exit, self->stack + STACK, flags, &self->tally);
  if (child < 0) fail("clone");
  check_child(child);
  (*self->children)++;
}

static void *make_by_vfork(void *argument) {
  for (;;) clone_and_check(argument, CLONE_VM | CLONE_VFORK | SIGCHLD);
  return NULL;
}

static void *make_sharers(void *argument) {
  for (;;) {
    clone_and_check(argument, CLONE_VM | SIGCHLD);
    clone_and_check(argument, CLONE_VM);
  }
  return NULL;
}

static void *make_by_spawn(void *argument) {
  struct maker *self = argument;
  char *arguments[] = {"true", NULL};
  char *environment[] = {NULL};
  for (;; (*self->children)++) {
    pid_t child;
    errno = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environment);
    if (errno != 0) fail("posix_spawn");
    check_child(child);
  }
}

static void start_maker(bool wanted, const char *name, void *(*body)(void *)) {
  struct maker *maker = calloc(1, sizeof *maker);
  maker->tally = new_tally(tallies++);
  maker->children = new_counter(name, 0);
  maker->stack = malloc(STACK);
  if (wanted) start_thread(body, maker);
}

static void *watch_child(void *argument) {
  check_child((pid_t)(intptr_t)argument);
  return NULL;
}

static void start_early_sharer(int exit_signal) {
  struct tally *tally = malloc(sizeof *tally);
  *tally = new_tally(tallies++);
  char *stack = malloc(STACK);
  pid_t child = clone(call_for_ever, stack + STACK, CLONE_VM | exit_signal, tally);
  if (child < 0) fail("clone");
  start_thread(watch_child, (void *)(intptr_t)child);
}

static void fork_child(void) {
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) call_for_ever(&child_tally);
  *last_child = child;
  start_thread(watch_child, (void *)(intptr_t)child);
}

static void *start_anew(void *argument) {
  (void)argument;
  (*generation)++;
  execv("/proc/self/exe", own_arguments);
  fail("execv");
  return NULL;
}

static void command(const char *line) {
  if (strcmp(line, "child") == 0) {
    fork_child();
    return;
  }
  if (strcmp(line, "exec") == 0) start_anew(NULL);
  if (strcmp(line, "exec-by-thread") != 0) fail("no command '%s'", line);
  start_thread(start_anew, NULL);
}

int main(int argc, char **argv) {
  own_arguments = argv;
  fixture_init(argc, argv);
  long threads = option_number("--threads", 1);
  bool by_fork = option_flag("--fork"), by_vfork = option_flag("--vfork");
  bool by_spawn = option_flag("--spawn"), sharers = option_flag("--sharer");
  bool early = option_flag("--sharer-early");
  options_done();
  generation = new_counter("generation", 0);
  child_wrong = new_counter("child_wrong", 0);
  child_killed = new_counter("child_killed", 0);
  last_child = new_counter("child", 0);
  child_tally = (struct tally){
      new_counter("child_calls", 0), new_counter("child_old", 0), new_counter("child_new", 0),
      new_counter("child_bad", 0)};
  publish_site();
  start_workers(threads);
  tallies = threads;
  start_maker(by_fork, "children_fork", make_by_fork);
  start_maker(by_vfork, "children_vfork", make_by_vfork);
  start_maker(by_spawn, "children_spawn", make_by_spawn);
  start_maker(sharers, "children_sharer", make_sharers);
  if (early) {
    start_early_sharer(SIGCHLD);
    start_early_sharer(0);
  }
  ready();
  serve(command);
}
