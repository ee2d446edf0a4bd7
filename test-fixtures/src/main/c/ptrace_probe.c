/*
 * ptrace_probe: may a process trace its descendant here, and write to its text? Asks the kernel by
 * doing so to a child of its own. Prints "ok", or what is missing, on one line; exit code 0 or 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static void print_file_line(const char *path, const char *start) {
  char line[256];
  FILE *file = fopen(path, "r");
  if (file == NULL) return;
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, start, strlen(start)) == 0) printf("; %s", line);
  }
  fclose(file);
}

static int missing(const char *what) {
  printf("%s: %s; uid %d", what, strerror(errno), getuid());
  print_file_line("/proc/self/status", "CapEff");
  print_file_line("/proc/self/status", "Seccomp:");
  printf("; ptrace_scope:");
  print_file_line("/proc/sys/kernel/yama/ptrace_scope", "");
  printf("\n");
  kill(child, SIGKILL);
  return 1;
}

int main(void) {
  child = fork();
  if (child < 0) return missing("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  if (ptrace(PTRACE_SEIZE, child, 0, 0)) return missing("PTRACE_SEIZE of a child");

  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", child);
  int mem = open(path, O_RDWR | O_CLOEXEC);
  if (mem < 0) return missing("opening /proc/PID/mem of a traced child");
  unsigned char byte;
  off_t at = (off_t)(size_t)main;
  if (pread(mem, &byte, 1, at) != 1) return missing("reading a traced child's text");
  if (pwrite(mem, &byte, 1, at) != 1) {
    return missing("writing a traced child's text (kernel parameter proc_mem.force_override)");
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, __WALL);
  printf("ok\n");
  return 0;
}
