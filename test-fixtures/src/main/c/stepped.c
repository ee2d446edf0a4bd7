/*
 * stepped: counts how often a program comes to each of two instructions, from its first one to its
 * end, by running it step by step: it knows nothing of breakpoints, jumps or the loader.
 *
 *   stepped OBJECT ADDRESS OBJECT ADDRESS PROGRAM [ARGUMENT]...
 *
 * OBJECT is the end of the path of the file that the instruction is in, ADDRESS its link-time
 * address, in hexadecimal digits. Writes both numbers on a line to standard error. The program must
 * have one thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SITES = 2 };

static int fail(const char *what) {
  fprintf(stderr, "stepped: %s: %s\n", what, strerror(errno));
  return 1;
}

/* Where the object is mapped; 0: it is not yet. */
static unsigned long base(pid_t pid, const char *object) {
  char path[64], line[1024];
  unsigned long found = 0;
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *maps = fopen(path, "r");
  if (maps == NULL) return 0;
  while (found == 0 && fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, offset;
    line[strcspn(line, "\n")] = 0;
    size_t length = strlen(line), end = strlen(object);
    if (length > end && strcmp(line + length - end, object) == 0 &&
        sscanf(line, "%lx-%*x %*s %lx", &start, &offset) == 2 && offset == 0) {
      found = start;
    }
  }
  fclose(maps);
  return found;
}

int main(int argc, char **argv) {
  char **program = argv + 1 + 2 * SITES;
  if (argc <= 1 + 2 * SITES) return fail("OBJECT ADDRESS OBJECT ADDRESS PROGRAM");
  unsigned long addresses[SITES];
  for (int i = 0; i < SITES; i++) addresses[i] = strtoul(argv[2 + 2 * i], NULL, 16);
  pid_t child = fork();
  if (child < 0) return fail("fork");
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    execv(program[0], program);
    _exit(fail("execv"));
  }
  long counts[SITES] = {0};
  int status;
  for (;;) {
    if (waitpid(child, &status, 0) < 0) return fail("waitpid");
    if (!WIFSTOPPED(status)) break;
    struct user_regs_struct now;
    if (ptrace(PTRACE_GETREGS, child, NULL, &now) != 0) return fail("PTRACE_GETREGS");
    for (int i = 0; i < SITES; i++) {
      if (now.rip % PAGE == addresses[i] % PAGE) {
        unsigned long start = base(child, argv[1 + 2 * i]);
        counts[i] += start != 0 && now.rip == start + addresses[i];
      }
    }
    int signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    if (ptrace(PTRACE_SINGLESTEP, child, NULL, signal) != 0) return fail("PTRACE_SINGLESTEP");
  }
  fprintf(stderr, "%ld %ld\n", counts[0], counts[1]);
  return 0;
}
