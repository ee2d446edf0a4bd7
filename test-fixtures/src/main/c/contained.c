/*
 * contained: another program as the first process of a pid namespace, as in a container.
 *
 *   contained [--host-proc] PROGRAM [ARGUMENT ...]
 *
 * PROGRAM is a path; it is the only child of this process, and says itself when it is ready. With
 * --host-proc, /proc stays that of the namespace outside, where other ids hold. Needs root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
  fprintf(stderr, "fixture: %s: %s\n", what, strerror(errno));
  exit(2);
}

int main(int argc, char **argv) {
  int first = 1;
  int host_proc = argc > 1 && strcmp(argv[1], "--host-proc") == 0;
  first += host_proc;
  if (first >= argc) {
    fprintf(stderr, "fixture: contained [--host-proc] PROGRAM [ARGUMENT ...]\n");
    return 2;
  }
  if (unshare(CLONE_NEWPID | CLONE_NEWNS)) die("unshare");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL)) die("PR_SET_PDEATHSIG");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("making mounts private");
    if (!host_proc && mount("proc", "/proc", "proc", 0, NULL)) die("mounting /proc");
    execv(argv[first], argv + first);
    die("execv");
  }
  int status;
  if (waitpid(child, &status, 0) != child) die("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
