/*
 * seccomp: workers below a filter that forbids system calls.
 *
 *   --threads N      workers (default 2)
 *   --deny LIST      names, separated by commas: membarrier, clone (and clone3), ptrace, mmap,
 *                    memfd_create, prctl
 *   --with ANSWER    errno (EPERM, the default), enosys, or kill (the process, by SIGSYS)
 *   --strict-allow   kills on every call but read, write, futex, exit, exit_group, rt_sigreturn and
 *                    restart_syscall; may not be given with --deny
 *
 *   --of-one         only a worker of its own, one more, is below the filter
 *
 * The filter is installed when the workers exist, in all threads. Counters: calls, results_old,
 * results_new, wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "site.h"

static const struct {
  const char *name;
  int number;
} DENIABLE[] = {
    {"membarrier", SYS_membarrier}, {"clone", SYS_clone}, {"clone", SYS_clone3},
    {"ptrace", SYS_ptrace},         {"mmap", SYS_mmap},   {"memfd_create", SYS_memfd_create},
    {"prctl", SYS_prctl},
};
static const int STRICT[] = {SYS_read, SYS_write,      SYS_futex,        SYS_exit,
                             SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall};

static struct sock_filter filter[64];
static unsigned short length;

static void emit(struct sock_filter instruction) { filter[length++] = instruction; }

static void answer(int call, unsigned action) {
  emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
  emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static unsigned parse_action(const char *name) {
  if (strcmp(name, "errno") == 0) return SECCOMP_RET_ERRNO | EPERM;
  if (strcmp(name, "enosys") == 0) return SECCOMP_RET_ERRNO | ENOSYS;
  if (strcmp(name, "kill") == 0) return SECCOMP_RET_KILL_PROCESS;
  fprintf(stderr, "fixture: --with %s\n", name);
  exit(2);
}

static void deny(const char *list, unsigned action) {
  char *copy = strdup(list);
  for (char *name = strtok(copy, ","); name != NULL; name = strtok(NULL, ",")) {
    int before = length;
    for (size_t i = 0; i < sizeof DENIABLE / sizeof *DENIABLE; i++) {
      if (strcmp(DENIABLE[i].name, name) == 0) answer(DENIABLE[i].number, action);
    }
    if (length == before) {
      fprintf(stderr, "fixture: --deny %s\n", name);
      exit(2);
    }
  }
  free(copy);
}

static struct tally tally_of_one;

static void install(unsigned flags) {
  struct sock_fprog program = {.len = length, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("PR_SET_NO_NEW_PRIVS");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)) fail("seccomp");
}

static void *work_below_filter(void *argument) {
  (void)argument;
  install(0);
  for (long x = 0;; x++) call_site(&tally_of_one, x);
  return NULL;
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 2);
  const char *denied = option_text("--deny", NULL);
  unsigned action = parse_action(option_text("--with", "errno"));
  bool strict = option_flag("--strict-allow");
  bool of_one = option_flag("--of-one");
  options_done();
  if (strict == (denied != NULL)) {
    fprintf(stderr, "fixture: give either --deny or --strict-allow\n");
    return 2;
  }
  publish_site();
  start_workers(threads);

  emit((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  if (strict) {
    for (size_t i = 0; i < sizeof STRICT / sizeof *STRICT; i++) {
      answer(STRICT[i], SECCOMP_RET_ALLOW);
    }
    emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  } else {
    deny(denied, action);
    emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  if (of_one) {
    tally_of_one = new_tally(threads);
    start_thread(work_below_filter, NULL);
    while (*tally_of_one.calls == 0) rest();
  } else {
    install(SECCOMP_FILTER_FLAG_TSYNC);
  }
  ready();
  serve(NULL);
}
