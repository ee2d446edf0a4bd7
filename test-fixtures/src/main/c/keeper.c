/*
 * keeper: stands between the JVM and a fixture.
 *
 *   keeper PROGRAM [ARGUMENT ...]
 *
 * The JVM's process reaper waits for the children of the JVM, and would swallow the ptrace stops of
 * a target that is one. So the fixture is a child of this program instead. It stays the JVM's
 * descendant, which is what Yama's ptrace_scope 1 asks for.
 *
 * Nothing outlives the JVM, however that ends: stdin is a pipe from the JVM, and when it is closed
 * the keeper kills the fixture and all that descends from it (they share a process group, and are
 * reparented to the keeper, a child subreaper). If the keeper itself is killed, the fixture gets
 * PR_SET_PDEATHSIG; that is sound here because the keeper has one thread and stays the parent. The
 * fixture needs no extra thread, signal handler or timer for any of this.
 *
 * stdin, lines:   "signal NAME"   sends a signal to the fixture
 *                 "input TEXT"    writes TEXT and a newline to the fixture's stdin
 * stderr, lines:  "started PID", "error TEXT"
 * stdout:         the fixture's stdout and stderr; at its end, so behind all that it wrote,
 *                 "keeper: exited CODE" or "keeper: killed NAME"
 *
 * File descriptor 3 is a memfd with the fixture's counters. It belongs to the keeper, so that it
 * stays readable when the fixture has called execve, or has ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static const struct {
  const char *name;
  int number;
} SIGNALS[] = {
    {"SIGHUP", SIGHUP},   {"SIGINT", SIGINT},   {"SIGQUIT", SIGQUIT}, {"SIGILL", SIGILL},
    {"SIGTRAP", SIGTRAP}, {"SIGABRT", SIGABRT}, {"SIGBUS", SIGBUS},   {"SIGFPE", SIGFPE},
    {"SIGKILL", SIGKILL}, {"SIGUSR1", SIGUSR1}, {"SIGSEGV", SIGSEGV}, {"SIGUSR2", SIGUSR2},
    {"SIGPIPE", SIGPIPE}, {"SIGALRM", SIGALRM}, {"SIGTERM", SIGTERM}, {"SIGCHLD", SIGCHLD},
    {"SIGCONT", SIGCONT}, {"SIGSTOP", SIGSTOP}, {"SIGTSTP", SIGTSTP}, {"SIGTTIN", SIGTTIN},
    {"SIGTTOU", SIGTTOU}, {"SIGSYS", SIGSYS},   {"SIGVTALRM", SIGVTALRM},
};
enum { SIGNAL_COUNT = sizeof SIGNALS / sizeof *SIGNALS };

static pid_t fixture_pid;
static int fixture_input;

static void die(const char *what) {
  dprintf(STDERR_FILENO, "error %s: %s\n", what, strerror(errno));
  exit(1);
}

static void start(char **arguments) {
  int input[2];
  if (pipe2(input, O_CLOEXEC)) die("pipe2");
  pid_t keeper = getpid();
  fixture_pid = fork();
  if (fixture_pid < 0) die("fork");
  if (fixture_pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) _exit(1); /* the keeper was killed before the line above */
    setpgid(0, 0);
    /* A fixture starts with a clean signal state, whatever the JVM was started with. */
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int reports = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    dup2(input[0], STDIN_FILENO);
    dup2(STDOUT_FILENO, STDERR_FILENO);
    execv(arguments[0], arguments);
    dprintf(reports, "error execv %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
  }
  setpgid(fixture_pid, fixture_pid); /* both sides, so that neither need wait for the other */
  close(input[0]);
  fixture_input = input[1];
  dprintf(STDERR_FILENO, "started %d\n", fixture_pid);
}

static void report(int status) {
  if (WIFEXITED(status)) {
    dprintf(STDOUT_FILENO, "\nkeeper: exited %d\n", WEXITSTATUS(status));
    return;
  }
  for (int i = 0; i < SIGNAL_COUNT; i++) {
    if (SIGNALS[i].number == WTERMSIG(status)) {
      dprintf(STDOUT_FILENO, "\nkeeper: killed %s\n", SIGNALS[i].name);
      return;
    }
  }
  dprintf(STDOUT_FILENO, "\nkeeper: killed %d\n", WTERMSIG(status));
}

/* Reaps who has ended; the fixture, or an orphan that it left. False when nobody is left. */
static bool reap(int flags) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, flags);
    if (pid < 0) return false;
    if (pid == 0) return true;
    if (pid == fixture_pid) {
      report(status);
      fixture_pid = 0;
    }
  }
}

static void obey(const char *line) {
  if (strncmp(line, "input ", 6) == 0) {
    dprintf(fixture_input, "%s\n", line + 6);
    return;
  }
  for (int i = 0; i < SIGNAL_COUNT; i++) {
    if (strncmp(line, "signal ", 7) == 0 && strcmp(line + 7, SIGNALS[i].name) == 0) {
      if (fixture_pid != 0) kill(fixture_pid, SIGNALS[i].number);
      return;
    }
  }
  dprintf(STDERR_FILENO, "error not a command: %s\n", line);
}

/* Reads what is there and obeys each whole line. False at the end of the pipe. */
static bool read_commands(void) {
  static char buffer[4096];
  static size_t held;
  ssize_t n = read(STDIN_FILENO, buffer + held, sizeof buffer - 1 - held);
  if (n <= 0) return false;
  held += n;
  buffer[held] = 0;
  char *line = buffer;
  for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    *end = 0;
    obey(line);
  }
  held -= line - buffer;
  memmove(buffer, line, held);
  return true;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "error usage: keeper PROGRAM [ARGUMENT ...]\n");
    return 2;
  }
  int counters = memfd_create("fixture-counters", 0);
  if (counters < 0 || ftruncate(counters, COUNTER_BYTES)) die("memfd_create");
  if (counters != COUNTER_FD && dup2(counters, COUNTER_FD) < 0) die("dup2");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);

  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  int ended = signalfd(-1, &child, SFD_CLOEXEC);
  if (ended < 0) die("signalfd");
  start(argv + 1);
  pid_t group = fixture_pid;

  struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {ended, POLLIN, 0}};
  for (;;) { /* also when the fixture has ended: its counters are still wanted */
    if (poll(fds, 2, -1) < 0 && errno != EINTR) die("poll");
    if (fds[1].revents != 0) {
      struct signalfd_siginfo info;
      if (read(ended, &info, sizeof info) < 0) die("read");
      reap(WNOHANG);
    }
    if (fds[0].revents != 0 && !read_commands()) break;
  }
  /* Whoever is still there goes; a child of the group cannot fork past a signal to the group. */
  kill(-group, SIGKILL);
  reap(0);
  return 0;
}
