/*
 * executor WAY PROGRAM [ARGUMENT]: has a program be executed, and exits with its exit code, or 128
 * and the signal's number. In the same process: exec, or thread, by a thread that is not the first.
 * In a child: fork, vfork, spawn (posix_spawn), system, popen, path (execvp, which finds it in the
 * last folder of PATH), at (execveat), descriptor (fexecve), failing (after an execve that fails),
 * raw (a system call that libc does not make), many (by 8 threads at once, 5 times each; exits with
 * the sum).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, TIMES = 5, NOT_EXECUTED = 127 };

extern char **environ;

static char **command;

static void *execute(void *argument) {
  (void)argument;
  execve(command[0], command, environ);
  _exit(NOT_EXECUTED);
}

static void search(void) {
  char path[4096];
  char *copy = strdup(command[0]);
  snprintf(path, sizeof path, "/nowhere:/proc/nowhere:%s", dirname(copy));
  setenv("PATH", path, 1);
  char *name = strdup(basename(command[0]));
  execvp(name, command);
}

static void fail_first(void) {
  char *const none[] = {"none", NULL};
  if (execve("/nowhere/none", none, environ) != -1 || errno != ENOENT) _exit(1);
  /* Nobody traces it any more, so that it runs as it did. */
  char line[256];
  FILE *status = fopen("/proc/thread-self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    int tracer;
    if (sscanf(line, "TracerPid: %d", &tracer) == 1 && tracer != 0) _exit(2);
  }
  if (status == NULL) _exit(3);
  fclose(status);
}

static void in_child(const char *way) {
  if (strcmp(way, "path") == 0) {
    search();
  } else if (strcmp(way, "at") == 0) {
    execveat(AT_FDCWD, command[0], command, environ, 0);
  } else if (strcmp(way, "descriptor") == 0) {
    fexecve(open(command[0], O_RDONLY | O_CLOEXEC), command, environ);
  } else if (strcmp(way, "raw") == 0) {
    syscall(SYS_execve, command[0], command, environ);
  } else {
    if (strcmp(way, "failing") == 0) fail_first();
    execute(NULL);
  }
  _exit(NOT_EXECUTED);
}

static char *line(void) {
  size_t size = 1;
  for (char **word = command; *word != NULL; word++) size += strlen(*word) + 1;
  char *all = calloc(size, 1);
  for (char **word = command; *word != NULL; word++) {
    strcat(all, *word);
    strcat(all, " ");
  }
  return all;
}

static int code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int wait_for(pid_t child) {
  int status;
  return child > 0 && waitpid(child, &status, 0) == child ? code(status) : NOT_EXECUTED;
}

static void *spawn_some(void *sum) {
  for (int i = 0; i < TIMES; i++) {
    pid_t child;
    if (posix_spawn(&child, command[0], NULL, NULL, command, environ) != 0) child = -1;
    __atomic_fetch_add((int *)sum, wait_for(child), __ATOMIC_RELAXED);
  }
  return NULL;
}

static int spawn_many(void) {
  pthread_t threads[THREADS];
  int sum = 0;
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, spawn_some, &sum);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  return sum;
}

static int copy(FILE *from) {
  int byte;
  while ((byte = fgetc(from)) != EOF) putchar(byte);
  return code(pclose(from));
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *way = argv[1];
  command = argv + 2;
  if (strcmp(way, "exec") == 0) execute(NULL);
  if (strcmp(way, "thread") == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, execute, NULL);
    for (;;) pause();
  }
  if (strcmp(way, "system") == 0) return code(system(line()));
  if (strcmp(way, "popen") == 0) return copy(popen(line(), "r"));
  if (strcmp(way, "many") == 0) return spawn_many();
  pid_t child;
  if (strcmp(way, "spawn") == 0) {
    if (posix_spawn(&child, command[0], NULL, NULL, command, environ) != 0) child = -1;
  } else if (strcmp(way, "vfork") == 0) {
    child = vfork();
    if (child == 0) execute(NULL);
  } else {
    child = fork();
    if (child == 0) in_child(way);
  }
  return wait_for(child);
}
