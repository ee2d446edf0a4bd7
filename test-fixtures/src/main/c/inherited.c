/*
 * inherited [exit N|kill N|wait]: writes all that a program has from whoever started it, a line
 * each. Then it exits with N, or with 0, kills itself with signal N, or waits for a signal.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* Whether it has a controlling terminal. */
static int has_terminal(void) {
  int fd = open("/dev/tty", O_RDWR);
  if (fd < 0) {
    return 0;
  }
  close(fd);
  return 1;
}

static void status(void) {
  static const char *const wanted[] = {"Uid:", "Gid:", "Groups:", "Threads:", "SigPnd:", "ShdPnd:",
      "SigBlk:", "SigIgn:", "SigCgt:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:",
      "NoNewPrivs:", "Seccomp:", "TracerPid:", "Cpus_allowed:", "Umask:", "State:"};
  char line[4096];
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
      if (strncmp(line, wanted[i], strlen(wanted[i])) == 0) {
        fputs(line, stdout);
      }
    }
  }
  if (file != NULL) {
    fclose(file);
  }
}

static void descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  struct dirent *entry;
  while (folder != NULL && (entry = readdir(folder)) != NULL) {
    char name[64];
    char target[4096];
    if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(folder)) {
      continue;
    }
    snprintf(name, sizeof name, "/proc/self/fd/%.20s", entry->d_name);
    ssize_t length = readlink(name, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    printf("fd %s %s\n", entry->d_name, target);
  }
  if (folder != NULL) {
    closedir(folder);
  }
}

static void limits(void) {
  for (int i = 0; i < RLIM_NLIMITS; i++) {
    struct rlimit limit;
    if (getrlimit(i, &limit) == 0) {
      printf("limit %d %llu %llu\n", i, (unsigned long long)limit.rlim_cur,
          (unsigned long long)limit.rlim_max);
    }
  }
}

int main(int argc, char **argv) {
  char folder[4096];
  int death = -1;
  for (int i = 0; i < argc; i++) {
    printf("argument %s\n", argv[i]);
  }
  for (char **variable = environ; *variable != NULL; variable++) {
    printf("variable %s\n", *variable);
  }
  printf("folder %s\n", getcwd(folder, sizeof folder));
  printf("group %d session %d terminal %d\n", getpgrp(), getsid(0), has_terminal());
  printf("nice %d policy %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
  prctl(PR_GET_PDEATHSIG, &death);
  printf("death signal %d dumpable %d personality %x\n", death,
      prctl(PR_GET_DUMPABLE), personality(0xffffffff));
  status();
  descriptors();
  limits();
  fflush(stdout);
  if (argc > 2 && strcmp(argv[1], "exit") == 0) {
    return atoi(argv[2]);
  }
  if (argc > 2 && strcmp(argv[1], "kill") == 0) {
    raise(atoi(argv[2]));
  }
  if (argc > 1 && strcmp(argv[1], "wait") == 0) {
    for (;;) {
      pause();
    }
  }
  return 0;
}
